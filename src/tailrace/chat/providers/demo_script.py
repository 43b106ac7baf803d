"""What the demo model says: markdown about the prompt, as long as the prompt asks for.

Only text is made here; cutting it into tokens and pacing them is the provider's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["answer", "length", "thoughts"]

_SHORT = 60  # words; with the tokens that they become, 60 to 120
_LONG = 420
_LONGEST = 4000
_LONG_PROMPT = 40  # words from which a prompt gets a long answer by itself

_WANTS_LENGTH = re.compile(r"\b(long|detailed|essay|story|article|in depth|elaborate|everything)\b", re.IGNORECASE)
_ABOUT = re.compile(
    r"^\s*(?:please\s+)?(?:write|tell|think|reason|talk)\b.*?\babout\s+(\S.*)", re.IGNORECASE | re.DOTALL
)
_SAYS_LENGTH = re.compile(r"\b(\d{2,5})[ -](?:words?|tokens?)\b", re.IGNORECASE)

_OPENINGS = (
    "Good question. Here is a short take on *{topic}*.",
    "Happy to help with *{topic}*.",
    "Let us look at *{topic}* together.",
    "*{topic}*: a nice thing to stream an answer about.",
)
_HONESTY = "I am the demo model that comes with Tailrace, so take the words lightly; the stream is the real thing."
_LIST_LEADS = ("Three things to try while I talk:", "What you can check right now:", "Worth a minute of your time:")
_ITEMS = (
    "Reload the page in the middle of this answer: it goes on where it was.",
    "Duplicate this tab: both go on with the same answer, each at its own pace.",
    "Pull the network cable for a moment; nothing is lost, nothing is said twice.",
    "Press stop: the provider is told at once, and no more tokens are paid for.",
    "Add a provider's key to the settings and ask me again as a real model.",
    "Subscribe to a channel from the command line and publish to it from another.",
)
_CODES = (
    ("bash", "tailrace chat 'Tell me about rivers'"),
    ("bash", "tail -f app.log | tailrace publish logs -"),
    ("js", "const source = new EventSource('/events/news');\nsource.onmessage = (event) => console.log(event.data);"),
    ("python", "async for token in client.chat('Tell me about rivers'):\n    print(token, end='', flush=True)"),
)
_SENTENCES = (
    "The first thing to notice about *{topic}* is that it comes in small pieces, each useful before the next is there.",
    "A reader should never have to wait for the end to enjoy the beginning.",
    "Every piece has its place in a log, and every reader remembers only how far it has come.",
    "If a connection drops, the place is all that is needed to go on.",
    "That is why two people can watch the same answer, one of them a little behind.",
    "Slow readers are welcome, since what they have not read yet is kept once for everybody.",
    "Seen from afar, *{topic}* looks like one long breath; seen from near, it is many small ones.",
    "Simple things stay simple: a line of text, a blank line, and then the next.",
    "The art is in what happens when something goes wrong, because sooner or later something does.",
    "An answer that ends should say so, and an answer that breaks should say that too.",
    "Silence is the one reply that nobody can act upon.",
    "With *{topic}*, as with most things, it pays to measure before one believes.",
    "A heartbeat now and then tells the proxies on the way that all is well.",
    "When a server has to leave, it says goodbye first and tells its readers when to come back.",
    "Patience helps, but a good timeout helps more.",
    "It is worth asking who pays for a token that nobody reads.",
    "What was delivered once should never be contradicted later.",
    "The pleasant part is that none of this needs more than plain HTTP.",
    "Old ideas serve well here; a river never needed to know who stands on its bank.",
    "Whoever comes late reads the beginning first and then joins the others.",
)
_HEADINGS = ("How it begins", "What carries it", "Where it gets hard", "What helps", "A closer look", "Looking ahead")
_CLOSINGS = (
    "Ask me something else whenever you like.",
    "That is the gist of it; ask for a long answer if you want to see more of it flow.",
    "I hope that was pleasant to watch.",
)


def answer(prompt: str, random: Random) -> str:
    """Write the answer to `prompt`, in markdown, of about `length(prompt)` words."""
    topic, words = _topic(prompt), length(prompt)
    opening = f"{random.choice(_OPENINGS).format(topic=topic)} {_HONESTY}"
    closing = random.choice(_CLOSINGS)
    if words <= _SHORT:
        extra = random.choice((_list, _code))(random)
        return f"{opening}\n\n{extra}\n\n{closing}"
    return "\n\n".join([opening, *_sections(topic, words, random), closing])


def thoughts(prompt: str, random: Random) -> str:
    """Write what goes through the model's mind before it answers."""
    first, second = (sentence.format(topic="this") for sentence in random.sample(_SENTENCES, 2))
    return (
        f"The question: {_topic(prompt)}. A good answer takes about {length(prompt)} words. "
        f"{first} {second} I will begin with the plain part and then show something."
    )


def length(prompt: str) -> int:
    """Return how many words `prompt` should get: what it says, else short for a short question."""
    if said := _SAYS_LENGTH.search(prompt):
        return min(int(said.group(1)), _LONGEST)
    words = len(prompt.split())
    if words >= _LONG_PROMPT or _WANTS_LENGTH.search(prompt):
        return min(_LONG + words, _LONGEST)
    return _SHORT


def _topic(prompt: str) -> str:
    """Return the beginning of the prompt, on one line and without what markdown would read as its own."""
    asked = re.sub(r"[*_`#\[\]<>]", "", prompt)
    about = _ABOUT.search(asked)
    words = (about.group(1) if about else asked).split()
    return " ".join(words[:8]).rstrip(".?!,:;")[:60] or "your question"


def _sections(topic: str, words: int, random: Random) -> list[str]:
    sections: list[str] = []
    pool: list[str] = []
    written = 0
    while written < words:
        number = len(sections)
        if len(pool) < 4:
            pool = random.sample(_SENTENCES, len(_SENTENCES))
        paragraph = " ".join(pool.pop().format(topic=topic) for _ in range(4))
        extra = (_list, _code)[number // 2 % 2](random) if number % 2 else ""
        section = f"## {_HEADINGS[number % len(_HEADINGS)]}\n\n{paragraph}\n\n{extra}".rstrip()
        sections.append(section)
        written += len(section.split())
    return sections


def _list(random: Random) -> str:
    return "\n".join([random.choice(_LIST_LEADS), "", *(f"- {item}" for item in random.sample(_ITEMS, 3))])


def _code(random: Random) -> str:
    language, code = random.choice(_CODES)
    return f"For example:\n\n```{language}\n{code}\n```"

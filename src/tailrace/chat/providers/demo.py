"""A model that needs no key and no network: it streams a pleasant answer about the prompt, at a model's pace.

The same prompt always gets the same answer. What is said is `demo_script`'s; this module cuts it
into tokens and paces them.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from random import Random
from typing import TYPE_CHECKING, ClassVar

from tailrace.chat.providers import demo_script
from tailrace.runs.deltas import Finish, Text, Thinking, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tailrace.chat.ask import Ask
    from tailrace.chat.providers.base import Answer
    from tailrace.runs.deltas import Delta

__all__ = ["Demo"]

_TOKEN = re.compile(r"\s*\S{1,8}")  # about four letters and a bit, like a real tokenizer's
_ASKS_TO_THINK = re.compile(r"\b(think|reason)(ing)?\b|\bstep by step\b", re.IGNORECASE)
_JITTER = 0.35


class Demo:
    """The provider of kind `demo`.

    `sleep` takes seconds and is awaited once before each token; `tokens_per_second` is the mean.
    """

    kind: ClassVar[str] = "demo"
    default_model: ClassVar[str | None] = "demo"

    def __init__(
        self,
        name: str = "demo",
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tokens_per_second: float = 40.0,
    ) -> None:
        self.name = name
        self._sleep = sleep
        self._pause = 1.0 / tokens_per_second

    async def answer(self, ask: Ask) -> Answer:
        """Stream the answer that this prompt gets, one token an item; `max_tokens` cuts it."""
        prompt = ask.conversation[-1].text
        # The seed makes answers repeatable; nothing here needs to be hard to guess.
        random = Random(zlib.crc32(prompt.encode()))  # noqa: S311
        thoughts = (
            _tokens(demo_script.thoughts(prompt, random)) if ask.thinking or _ASKS_TO_THINK.search(prompt) else []
        )
        words = _tokens(demo_script.answer(prompt, random))
        limit = ask.max_tokens or len(thoughts) + len(words)
        pieces: list[Delta] = [Thinking(token) for token in thoughts]
        pieces += [Text(token) for token in words]
        del pieces[limit:]
        for piece in pieces:
            await self._sleep(self._pause * random.uniform(1 - _JITTER, 1 + _JITTER))
            yield [piece]
        complete = len(pieces) == len(thoughts) + len(words)
        heard = sum(len(_tokens(message.text)) for message in ask.messages) + len(_tokens(ask.system or ""))
        yield [Usage(heard, len(pieces)), Finish("stop" if complete else "length")]

    async def close(self) -> None:
        """Give up nothing: there is nothing."""


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)

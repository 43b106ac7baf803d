"""The chat page's own reading of streams and of markdown, in the browser that runs it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.async_api import Browser, Page

from tests.sse.reference import interpret
from tests.sse.wire_cases import CASES, Case
from tests.support.browser import chromium, window
from tests.support.server import Server

pytestmark = pytest.mark.anyio

PARSE = """async (streams) => {
  const { EventParser } = await import(new URL('static/sse.js', location));
  return streams.map((chunks) => {
    const parser = new EventParser();
    const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const events = chunks.flatMap((chunk) => parser.receive(bytes(chunk)));
    return { events: events.map((e) => [e.data, e.type, e.lastEventId]), retry: parser.retry };
  });
}"""

# Each text twice: growing by the given pieces, and at once.
SHOW = """async (texts) => {
  const { Markdown } = await import(new URL('static/markdown.js', location));
  const shown = (steps) => {
    const into = document.createElement('div');
    const markdown = new Markdown(into);
    let text = '';
    const settled = steps.flatMap((step) => markdown.show(text += step));
    const kept = [...into.children].slice(0, settled.length);
    return [into.innerHTML, settled.every((element, n) => element === kept[n]), into.textContent];
  };
  return texts.map((pieces) => [...shown(pieces), shown([pieces.join('')])[0]]);
}"""

HTML = """async (text) => {
  const { Markdown } = await import(new URL('static/markdown.js', location));
  const into = document.createElement('div');
  new Markdown(into).show(text);
  return into.innerHTML;
}"""


TAKE = """async (events) => {
  const { take, unanswered } = await import(new URL('static/answer.js', location));
  const answer = unanswered('key');
  events.forEach(([type, data], n) => {
    const id = `r-${n + 1}`;
    take(answer, { type, data: JSON.stringify(data), id, lastEventId: id });
  });
  return answer;
}"""


@pytest.fixture(scope="module")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    with Server() as server:
        async with window(browser, server.url) as page:
            yield page


async def parse(page: Page, streams: Sequence[Sequence[bytes]]) -> list[dict[str, Any]]:
    encoded = [[base64.b64encode(chunk).decode() for chunk in chunks] for chunks in streams]
    parsed: list[dict[str, Any]] = await page.evaluate(PARSE, encoded)
    return parsed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_parser_reads_what_every_parser_must(page: Page, case: Case) -> None:
    wire = b"".join(case.chunks)
    ways = [case.chunks, [wire], [wire[at : at + 1] for at in range(len(wire))]]
    for parsed in await parse(page, ways):
        assert parsed["events"] == [list(event) for event in case.events]
        assert parsed["retry"] == case.retry


_ATOMS = [b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"7", b"a"]
_WIRES = st.lists(st.sampled_from([*_ATOMS, "…".encode(), b"\xe2", b"\xef\xbb\xbf", "\u2028".encode()]), max_size=30)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_WIRES.map(b"".join), st.integers(1, 7)), min_size=1, max_size=20))
async def test_the_parser_agrees_with_the_standard_however_the_bytes_are_cut(
    page: Page, cases: list[tuple[bytes, int]]
) -> None:
    streams = [[wire[at : at + size] for at in range(0, len(wire), size)] for wire, size in cases]
    for (wire, _), parsed in zip(cases, await parse(page, streams), strict=True):
        expected = interpret(wire)
        assert parsed == {"events": [list(event) for event in expected.events], "retry": expected.reconnection_time}


_BLOCKS = ["# ", "- ", "1. ", "1.", "> ", "```", "~~~\n", "---", "***", "|", "|-|-|\n", "a|b\n"]
_SPANS = ["`", "**", "*", "_", "[a](https://b.c)", "word", "é", "\\", "<b>"]
_BLANKS = ["\n", "\n\n", "  ", "    ", "\t"]
_TEXTS = st.lists(st.sampled_from([*_BLOCKS, *_SPANS, *_BLANKS]), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(st.lists(_TEXTS, min_size=1, max_size=40))
async def test_a_text_that_grows_looks_like_one_that_came_whole_and_settled_parts_stay(
    page: Page, texts: list[list[str]]
) -> None:
    for growing, keeps_settled, _, whole in await page.evaluate(SHOW, texts):
        assert growing == whole
        assert keeps_settled


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("<>&\"'=/ab \n", min_size=1).map(lambda text: [text]), min_size=1, max_size=20))
async def test_markup_stays_text(page: Page, texts: list[list[str]]) -> None:
    for (text,), (_, _, content, _) in zip(texts, await page.evaluate(SHOW, texts), strict=True):
        # A quote's marks and the blanks between blocks are markdown's; every other character is there.
        said = "".join(line.lstrip(" >") for line in text.splitlines())
        assert content.replace("\n", "").replace(" ", "").replace(">", "") == said.replace(" ", "").replace(">", "")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo\n\nthree", "<p>one\ntwo</p><p>three</p>"),
        ("# Title \ntext", "<h3>Title</h3><p>text</p>"),
        ("####### no", "<p>####### no</p>"),
        (
            "**bold *both*** `a*b*` _it_",
            "<p><strong>bold <em>both</em></strong> <code>a*b*</code> <em>it</em></p>",
        ),
        ("2 * 3 * 4, snake_case_name, 5*", "<p>2 * 3 * 4, snake_case_name, 5*</p>"),
        ("~~no~~ **", "<p><del>no</del> **</p>"),
        (r"\*plain\*", "<p>*plain*</p>"),
        ("- a\n  b\n- c\n\n- d", "<ul><li>a\nb</li><li>c</li><li>d</li></ul>"),
        ("- a\n  - b\n    - c\n- d", "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("1. a\n   ```\n   code\n   ```\n2. b", None),
        ("> a\n> - b", "<blockquote><p>a</p><ul><li>b</li></ul></blockquote>"),
        ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
        ("[x](https://a.b/c) [y](javascript:z)", None),
    ],
)
async def test_markdown_becomes_elements(page: Page, text: str, html: str | None) -> None:
    shown = await page.evaluate(HTML, text)
    if html is not None:
        assert shown == html
    else:
        assert shown.count("<a ") == text.count("https://")
        assert shown.count("<pre") == text.count("```") // 2


async def test_a_table_has_as_many_cells_in_each_row_as_its_head(page: Page) -> None:
    shown = await page.evaluate(HTML, "|a|b|\n|---|:-:|\n|1|2|3|\n|4|\n\nafter")
    assert "<thead><tr><th>a</th><th>b</th></tr></thead>" in shown
    assert "<tr><td>1</td><td>2</td></tr><tr><td>4</td><td></td></tr>" in shown
    assert shown.endswith("<p>after</p>")


_UNITS = ["*", "**a", "`", "[", "_a", "> ", "- ", "|", "https://", "~~", "\\", "1. ", "# ", "- a\n  b\n", " \t"]


@pytest.mark.parametrize("unit", _UNITS)
async def test_no_text_takes_long_or_breaks_the_page(page: Page, unit: str) -> None:
    timed = f"async (text) => {{ await ({HTML})(text); return performance.now(); }}"
    begun = await page.evaluate("performance.now()")
    took = await page.evaluate(timed, unit * 20_000) - begun
    assert took < 2000


BODY = """async (turns) => {
  const { Conversation } = await import(new URL('static/conversation.js', location));
  const conversation = new Conversation(null);
  for (const { question, text } of turns) conversation.ask(question, false).answer.text = text;
  return conversation.body();
}"""


async def test_a_question_without_an_answer_goes_with_the_next_so_that_roles_alternate(page: Page) -> None:
    turns = [{"question": "a", "text": "A"}, {"question": "b", "text": ""}, {"question": "c", "text": "half"}]
    body = await page.evaluate(BODY, turns)
    assert [(each["role"], each["content"]) for each in body["messages"]] == [
        ("user", "a"),
        ("assistant", "A"),
        ("user", "b\n\nc"),
    ]


FULL = """async (texts) => {
  const { Conversation } = await import(new URL('static/conversation.js', location));
  const storage = {
    kept: null,
    getItem() { return this.kept; },
    setItem(_, text) {
      if (text.length > 2000) throw new DOMException('full', 'QuotaExceededError');
      this.kept = text;
    },
  };
  const conversation = new Conversation(storage);
  for (const text of texts) conversation.ask('q', false).answer.text = text;
  conversation.save();
  return new Conversation(storage).turns.map((turn) => turn.answer.text);
}"""


async def test_a_full_storage_keeps_the_newest_turns(page: Page) -> None:
    assert await page.evaluate(FULL, ["a" * 900, "b" * 100, "c" * 900]) == ["b" * 100, "c" * 900]
    assert await page.evaluate(FULL, ["a" * 5000]) == []


WAIT = """async ([random, failures]) => {
  const { Patience } = await import(new URL('static/patience.js', location));
  const patience = new Patience(() => random);
  return failures.map((words) => (words ? patience.failed(...words) : patience.succeeded()));
}"""


async def test_waiting_doubles_up_to_a_bound_and_undercuts_no_word_of_the_server(page: Page) -> None:
    assert await page.evaluate(WAIT, [0, [[None]] * 7]) == [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
    assert await page.evaluate(WAIT, [0, [[2000], [2000], None, [2000]]]) == [2000, 4000, None, 2000]
    assert await page.evaluate(WAIT, [1, [[2000], [2000, 7000], [60_000]]]) == [3000, 10_500, 90_000]


async def test_what_was_said_before_a_restart_is_discarded(page: Page) -> None:
    said: list[tuple[str, dict[str, Any]]] = [
        ("thinking", {"text": "Hm"}),
        ("message", {"text": "Hel"}),
        ("tool", {"index": 0, "id": "a", "name": "f", "arguments": "{"}),
        ("restart", {"provider": "spare", "model": "s", "reason": "provider_cut"}),
        ("message", {"text": "Hi!"}),
    ]
    answer = await page.evaluate(TAKE, said)
    assert (answer["thinking"], answer["text"], answer["tools"], answer["cursor"]) == ("", "Hi!", [], "r-5")

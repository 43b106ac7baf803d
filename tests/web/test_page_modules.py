"""The parts of the chat page, in the browser that runs them: markdown, what events come to, what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.async_api import Browser, Page

from tests.support.browser import chromium, window
from tests.support.server import Server

pytestmark = pytest.mark.anyio

# Each text twice: growing by the given pieces, and at once.
SHOW = """async (texts) => {
  const { Markdown } = await import(new URL('static/markdown.js', location));
  const shown = (steps) => {
    const into = document.createElement('div');
    const markdown = new Markdown(into);
    let text = '';
    const settled = steps.flatMap((step) => markdown.show(text += step));
    const kept = [...into.children].slice(0, settled.length);
    const shown = [into.innerHTML, settled.every((element, n) => element === kept[n])];
    into.querySelectorAll('.code > p').forEach((caption) => caption.remove());
    return [...shown, into.textContent];
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
    take(answer, { type, ...data }, `r-${n + 1}`);
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
@given(st.lists(st.text("<>&\"'/ab \n", min_size=1).map(lambda text: [text]), min_size=1, max_size=20))
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
        ("- a\n  b\n- c", "<ul><li>a\nb</li><li>c</li></ul>"),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
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
    assert '<thead><tr><th>a</th><th data-align="center">b</th></tr></thead>' in shown
    assert '<tr><td>4</td><td data-align="center"></td></tr></tbody>' in shown
    assert "3" not in shown.replace("h3", "")
    assert shown.endswith("<p>after</p>")


_UNITS = ["*", "**a", "`", "[", "_a", "> ", "- ", "|", "https://", "~~", "\\", "1. ", "# ", "- a\n  b\n", " \t"]


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>\n\n<iframe srcdoc='<script>alert(1)</script>'>",
    "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](&#106;avascript:alert(1)) [d](java\tscript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=) [b](vbscript:x) [c](file:///etc/passwd) [d](/api) [e](//evil.example)",
    "<javascript:alert(1)> <data:text/html,x> ![a](javascript:alert(1)) ![b](data:image/svg+xml,x)",
    '[a](https://a.b "x" onmouseover=alert(1)") [b](https://a.b/"onclick="alert(1))',
    '`<b>`\n\n```html" onload=alert(1)\n<script>alert(1)</script>',
    "| <b>x</b> |\n|---|\n| <img src=x onerror=alert(1)> |",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x&#62;",
    "[a]\n\n[a]: javascript:alert(1)",
    "a\0b\u202e\ud800",
]

# What is in the page after each character of the text: names of elements and attributes, and where links lead.
MADE = """async (text) => {
  const { Markdown } = await import(new URL('static/markdown.js', location));
  const into = document.createElement('div');
  const markdown = new Markdown(into);
  const seen = { elements: new Set(), attributes: new Set(), links: new Set() };
  for (let end = 1; end <= text.length; end += 1) {
    markdown.show(text.slice(0, end));
    for (const each of into.querySelectorAll('*')) {
      seen.elements.add(each.tagName.toLowerCase());
      each.getAttributeNames().forEach((name) => seen.attributes.add(name));
      if (each.href) seen.links.add(each.protocol);
    }
  }
  return [[...seen.elements], [...seen.attributes], [...seen.links]];
}"""

_ELEMENTS = {"p", "a", "span", "strong", "em", "del", "br", "code", "pre", "div", "button", "ul", "ol", "li", "hr"}
_ELEMENTS |= {"blockquote", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}
_ATTRIBUTES = {"href", "target", "rel", "class", "tabindex", "role", "aria-label", "type", "start", "data-align"}


@pytest.mark.parametrize("text", HOSTILE)
async def test_nothing_but_known_elements_is_made_at_any_moment_of_a_hostile_text(page: Page, text: str) -> None:
    elements, attributes, links = await page.evaluate(MADE, text)
    assert set(elements) <= _ELEMENTS
    assert set(attributes) <= _ATTRIBUTES
    assert set(links) <= {"https:", "http:"}


async def test_an_image_is_a_link_and_nothing_is_loaded(page: Page) -> None:
    shown = await page.evaluate(HTML, "![a cat](https://a.b/cat.png)")
    assert "<img" not in shown
    assert 'href="https://a.b/cat.png"' in shown
    assert ">a cat</a>" in shown


async def test_code_that_is_being_written_stays_the_same_element(page: Page) -> None:
    grew = """async ([before, after]) => {
      const { Markdown } = await import(new URL('static/markdown.js', location));
      const into = document.createElement('div');
      const markdown = new Markdown(into);
      markdown.show(before);
      const code = into.querySelector('code').firstChild;
      markdown.show(before + after);
      return [code === into.querySelector('code').firstChild, code.data, into.querySelectorAll('pre').length];
    }"""
    assert await page.evaluate(grew, ["Look:\n\n```py\na = 1\n", "b = 2"]) == [True, "a = 1\nb = 2", 1]


@pytest.mark.parametrize("unit", _UNITS)
async def test_no_text_takes_long_or_breaks_the_page(page: Page, unit: str) -> None:
    timed = f"async (text) => {{ await ({HTML})(text); return performance.now(); }}"
    begun = await page.evaluate("performance.now()")
    took = await page.evaluate(timed, unit * 20_000) - begun
    assert took < 20_000  # milliseconds, on a machine however busy; what is not linear takes minutes


BODY = """async (turns) => {
  const { Conversation } = await import(new URL('static/conversation.js', location));
  const conversation = new Conversation(null);
  for (const { question, text } of turns) conversation.ask(question, {}).answer.text = text;
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
  for (const text of texts) conversation.ask('q', {}).answer.text = text;
  conversation.save();
  return new Conversation(storage).turns.map((turn) => turn.answer.text);
}"""


async def test_a_full_storage_keeps_the_newest_turns(page: Page) -> None:
    assert await page.evaluate(FULL, ["a" * 900, "b" * 100, "c" * 900]) == ["b" * 100, "c" * 900]
    assert await page.evaluate(FULL, ["a" * 5000]) == []


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

"""Answers as a provider may give them, for property tests, and a way to compare them whatever their pieces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tailrace.runs.deltas import Delta, Text, Thinking, ToolCall
from tailrace.sse import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tailrace.chat.providers.parser import Parser

__all__ = ["calls", "cuts", "merged", "parsed", "pieces"]

_words = st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable() or text.isspace())


@st.composite
def calls(draw: st.DrawFn, index: int) -> list[Delta]:
    """One tool call: its beginning, then fragments of its arguments."""
    fragments = draw(st.lists(_words, max_size=3))
    return [ToolCall(index, f"call_{index}", draw(_words)), *(ToolCall(index, arguments=text) for text in fragments)]


@st.composite
def pieces(draw: st.DrawFn) -> tuple[Delta, ...]:
    """Thinking, text and tool calls in any order, tool calls counted from 0."""
    said: list[Delta] = []
    count = 0
    for kind in draw(st.lists(st.sampled_from(("text", "thinking", "call")), max_size=8)):
        if kind == "call":
            said += draw(calls(count))
            count += 1
        else:
            said.append((Text if kind == "text" else Thinking)(draw(_words)))
    return tuple(said)


def cuts() -> st.SearchStrategy[list[int]]:
    """Sizes of network chunks, used again and again until the bytes are gone."""
    return st.lists(st.integers(1, 200), min_size=1, max_size=5)


def parsed(parser: Parser, wire: bytes, sizes: Sequence[int]) -> list[Delta]:
    """Feed `wire` to `parser` in chunks of `sizes`."""
    decoder, deltas, start, turn = Decoder(), list[Delta](), 0, 0
    while start < len(wire):
        size = sizes[turn % len(sizes)]
        deltas += parser.feed(decoder.receive(wire[start : start + size]))
        start, turn = start + size, turn + 1
    return deltas


def merged(deltas: Iterable[Delta]) -> list[Delta]:
    """Join neighbours that say one thing together: texts, thoughts, the fragments of one call."""
    joined: list[Delta] = []
    for delta in deltas:
        last = joined[-1] if joined else None
        if (isinstance(delta, Text) and isinstance(last, Text)) or (
            isinstance(delta, Thinking) and isinstance(last, Thinking)
        ):
            joined[-1] = replace(last, text=last.text + delta.text)
        elif isinstance(delta, ToolCall) and isinstance(last, ToolCall) and last.index == delta.index and not delta.id:
            joined[-1] = replace(last, arguments=last.arguments + delta.arguments)
        else:
            joined.append(delta)
    return joined

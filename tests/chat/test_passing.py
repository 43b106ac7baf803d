"""Which of a caller's headers go on to a provider."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.chat.dialects import BadRequest
from tailrace.chat.passing import of_dialect, of_trace

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ALL = [
    (b"host", b"here"),
    (b"authorization", b"Bearer secret"),
    (b"x-api-key", b"secret"),
    (b"cookie", b"session=secret"),
    (b"connection", b"keep-alive"),
    (b"x-forwarded-for", b"10.0.0.1"),
    (b"openai-organization", b"org"),
    (b"anthropic-version", b"2023-01-01"),
    (b"anthropic-beta", b"a,b"),
    (b"openai-beta", b"responses=v1"),
    (b"traceparent", PARENT),
    (b"tracestate", b"vendor=1"),
]


def test_each_api_gets_its_own_words_and_nobody_anything_else() -> None:
    assert of_dialect("anthropic", ALL) == (("anthropic-version", "2023-01-01"), ("anthropic-beta", "a,b"))
    assert of_dialect("openai", ALL) == of_dialect("openai-responses", ALL) == (("openai-beta", "responses=v1"),)
    assert of_dialect("demo", ALL) == ()
    assert of_trace(ALL) == (("traceparent", PARENT.decode()), ("tracestate", "vendor=1"))


def test_a_list_on_several_lines_is_one_list() -> None:
    lines = [(b"anthropic-beta", b"a"), (b"anthropic-beta", b"b, c")]
    assert of_dialect("anthropic", lines) == (("anthropic-beta", "a, b, c"),)


@pytest.mark.parametrize(
    "parent",
    [
        None,
        b"",
        b"garbage",
        PARENT + b"-more",  # version 00 has no more
        b"ff" + PARENT[2:],
        b"00-" + b"0" * 32 + PARENT[35:],
        PARENT[:36] + b"0" * 16 + b"-01",
        PARENT.upper(),
    ],
)
def test_a_trace_without_a_readable_parent_is_none(parent: bytes | None) -> None:
    lines = [(b"tracestate", b"vendor=1")] + ([] if parent is None else [(b"traceparent", parent)])
    assert of_trace(lines) == ()


def test_two_parents_are_none() -> None:
    assert of_trace([(b"traceparent", PARENT), (b"traceparent", PARENT)]) == ()


def test_a_parent_of_a_later_version_passes_with_what_it_adds() -> None:
    later = b"01" + PARENT[2:] + b"-extra"
    assert of_trace([(b"traceparent", later)]) == (("traceparent", later.decode()),)


@pytest.mark.parametrize("name", [b"anthropic-beta", b"traceparent"])
@pytest.mark.parametrize("value", [b"a\r\nx-api-key: stolen", b"a\nb", b"a\rb", b"a\0b", b"\xe9", b"\x7f"])
def test_a_value_that_would_be_more_than_one_header_is_refused_by_name(name: bytes, value: bytes) -> None:
    with pytest.raises(BadRequest, match=name.decode()) as caught:
        (*of_dialect("anthropic", [(name, value)]), *of_trace([(name, value)]))
    assert caught.value.code == "invalid_header"


@given(st.lists(st.tuples(st.sampled_from([name for name, _ in ALL]), st.binary(max_size=60))))
def test_whatever_passes_is_one_plain_line_of_a_name_that_is_meant(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        passed = (*of_dialect("anthropic", headers), *of_trace(headers))
    except BadRequest:
        return
    assert {name for name, _ in passed} <= {"anthropic-version", "anthropic-beta", "traceparent", "tracestate"}
    assert all(value.isascii() and not set(value) & set("\r\n\0") for _, value in passed)

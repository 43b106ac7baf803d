"""The parser cases that the test suites of browsers and clients agree on, as bytes and what they mean.

WPT: web-platform-tests, eventsource/. LD: LaunchDarkly's contract tests. The others name the client
whose suite brought the case.
"""

from __future__ import annotations

from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"
LONG = b"x" * 2048


@dataclass(frozen=True)
class Case:
    """`chunks` in, `events` out as (data, type, id); then what the decoder holds."""

    name: str
    chunks: tuple[bytes, ...]
    events: tuple[tuple[str, str, str], ...]
    last_event_id: str = ""
    retry: int | None = None


def messages(*data: str, id: str = "") -> tuple[tuple[str, str, str], ...]:  # noqa: A002  # the wire's own word
    return tuple((text, "message", id) for text in data)


def case(
    name: str,
    wire: bytes,
    *data: str,
    events: tuple[tuple[str, str, str], ...] = (),
    last_event_id: str = "",
    retry: int | None = None,
) -> Case:
    """A case whose chunk boundaries are marked by `|` and whose events are messages, unless told."""
    return Case(name, tuple(wire.split(b"|")), events or messages(*data, id=last_event_id), last_event_id, retry)


CASES = (
    case("01 a space after the colon is optional", b"data: Hello\n\ndata:Hello\n\n", "Hello", "Hello"),
    case("02 one space is stripped, not two (LD, okhttp)", b"data:  Hello\n\n", " Hello"),
    case("03 a tab is not a space (WPT leading-space)", b"data:\ttest\rdata: \ndata:test\n\n", "\ttest\n\ntest"),
    case("04 empty data is dispatched (WPT field-data)", b"data:\n\n", ""),
    case("05 data without a colon (WPT field-data)", b"data\n\ndata\ndata\n\ndata:test\n\n", "", "\n", "test"),
    case("06 data lines are joined by LF", b"data: a\ndata: b\n\n", "a\nb"),
    case("07 the first data line may be empty (LD)", b"data:\ndata: l2\ndata: l3\n\n", "\nl2\nl3"),
    case("08 blank lines before an event (eventsource-parser)", b"\n\n\n\nid: 1\ndata: x\n\n", "x", last_event_id="1"),
    case("09 CRLF, LF and CR in one block (WPT newlines)", b"data:test\r\ndata\ndata:test\r\n\r", "test\n\ntest"),
    case("10 LF ends lines (LD)", b"data: a\ndata: b\n\ndata: c\n\n", "a\nb", "c"),
    case("10 CR ends lines (LD)", b"data: a\rdata: b\r\rdata: c\r\r", "a\nb", "c"),
    case("10 CRLF ends lines (LD)", b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", "a\nb", "c"),
    case("11 CRLF cut in the middle", b"data: A\r\n|data: B\r|\n|data: C\r\n|\n", "A\nB\nC"),
    case("12 a chunk begins with the LF of a CRLF (LD)", b"data: Hello\r|\ndata: World\r|\n\r\n", "Hello\nWorld"),
    case("13 a blank CR line ending a chunk dispatches once", b"data: one\r|\r|\n", "one"),
    case(
        "14 comments of any shape and an unfinished end (eventsource-parser)",
        b"data:1\r\r:\0\n:\r\ndata:2\n\n:" + LONG + b"\rdata:3\n\n:data:fail\r:" + LONG + b"\ndata:4\n\ndata:5",
        *"1234",
    ),
    case(
        "15 comments inside an event (WPT comments)",
        b"data:1\r:\0\n:\r\ndata:2\n:" + LONG + b"\rdata:3\n:data:fail\r:" + LONG + b"\ndata:4\n\n",
        "1\n2\n3\n4",
    ),
    case(
        "16 field names are literal, NUL stays in data (WPT field-parsing)",
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\n"
        b"da-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
        "\0\n 2\n1\n3\n\n4",
    ),
    case(
        "17 unknown fields are ignored (WPT field-unknown)",
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:c\ndata:test\n\n",
        "test\n\ntest",
    ),
    case("18 a prefix is not a field (okhttp)", b"data: a\neventually\ndatabase\nidentity\nretrying\n\n", "a"),
    case("19 a comment alone", b": c\n\n"),
    case("19 colons alone", b":" * 300 + b"\n\n"),
    case("19 a comment that is not ASCII", ": caf\u00e9 \u2026\n\n".encode()),
    case("19 empty comments before, in and after an event", b":\ndata: a\n:\ndata: b\n:\n\n:\n", "a\nb"),
    case("20 only the first colon separates (sse.js, undici)", b"data: a:b:c\n\n", "a:b:c"),
    case("21 only the first BOM is stripped (WPT bom)", BOM + b"data:1\n\n" + BOM + b"data:2\n\ndata:3\n\n", "1", "3"),
    case("22 of two BOMs one is stripped (WPT bom-2)", BOM * 2 + b"data:1\n\ndata:2\n\ndata:3\n\n", "2", "3"),
    case("23 a BOM in three chunks (LD, undici)", b"\xef|\xbb|\xbfdata:1\n\n", "1"),
    case("23 a BOM in two chunks (LD, undici)", b"\xef\xbb|\xbfdata:1\n\n", "1"),
    case("23 what only begins like a BOM is text", b"\xef\xbbdata:1\n\ndata:2\n\n", "2"),
    case("24 a BOM in data is kept (LD)", b"data: " + BOM + b"x\n\n", "\ufeffx"),
    case("25 the stream is UTF-8 (WPT utf-8)", b"data:ok\xe2\x80\xa6\n\n", "ok\u2026"),
    case("26 characters cut at every byte (LD)", b"data: \xf0\x9f|\x8c\x8a \xe2|\x80\xa6\n\n", "\U0001f30a \u2026"),
    case(
        "27 no other line break (httpx-sse #34)",
        "data: a\u2028b\u2029c\u0085d\ve\ff\x1cg\n\n".encode(),
        "a\u2028b\u2029c\u0085d\ve\ff\x1cg",
    ),
    case(
        "28 the type holds for one event (WPT field-event)",
        b"event:test\ndata:x\n\ndata:x\n\n",
        events=(("x", "test", ""), ("x", "message", "")),
    ),
    case("29 an empty type is message (WPT field-event-empty)", b"event: \ndata:data\n\n", "data"),
    case("30 a block without data resets the type", b"event: x\n\ndata: y\n\n", "y"),
    case("31 the last type wins (sse.js)", b"event: a\nevent: b\ndata: x\n\n", events=(("x", "b", ""),)),
    case(
        "31 fields come in any order (LD)",
        b"data: x\nid: 7\nretry: 5\nevent: b\n\n",
        events=(("x", "b", "7"),),
        last_event_id="7",
        retry=5,
    ),
    case("32 the id persists (WPT field-id-3)", b"id: 1\ndata: a\n\ndata: b\n\n", "a", "b", last_event_id="1"),
    case(
        "33 an empty id clears (WPT field-id-3)",
        b"id: 1\ndata: 1\n\nid:\ndata:2\n\ndata:3\n\n",
        events=(*messages("1", id="1"), *messages("2", "3")),
    ),
    case(
        "33 an id without a colon clears (WPT field-id-3)",
        b"id: 1\ndata: 1\n\nid\ndata:2\n\ndata:3\n\n",
        events=(*messages("1", id="1"), *messages("2", "3")),
    ),
    case("34 an id with NUL is ignored (WPT field-id-null)", b"id: a\0b\ndata: x\n\n", "x"),
    case("34 and leaves the one before it", b"id: 123\nid: bad\0id\ndata: hello\n\n", "hello", last_event_id="123"),
    case("35 an id without data commits", b"id: 42\n\n", last_event_id="42"),
    case(
        "36 the end of the stream discards an event and its id (WPT before-final-empty-line)",
        b"retry:1000\ndata:test1\n\nid:test\ndata:test2",
        "test1",
        retry=1000,
    ),
    case("37 an id is any text (WPT field-id)", b"id: \xe2\x80\xa6\ndata: x\n\n", "x", last_event_id="\u2026"),
    case("38 retry is base ten whatever its zeros (WPT field-retry)", b"retry: 02000\n\n", retry=2000),
    case(
        "39 a bogus retry is ignored (WPT field-retry-bogus)", b"retry:2000\nretry:1000x\ndata:x\n\n", "x", retry=2000
    ),
    case(
        "39 a retry of anything but digits is ignored (sse.js)",
        b"retry: -5\nretry: 1.5\nretry: +5\nretry:  \nretry:\nretry: 5 \nretry:  5\nretry: 1_0\n\n",
    ),
    case("39 digits are the ASCII digits", "retry: \u00b2\nretry: \u0665\nretry: \uff15\n\n".encode()),
    case("39 a retry that no integer type takes is ignored", b"retry: 7\nretry: " + b"9" * 5000 + b"\n\n", retry=7),
    case("40 an empty retry is ignored (WPT field-retry-empty)", b"retry\ndata:test\n\n", "test"),
    case("40 retry counts as soon as its line ends", b"retry: 12\n", retry=12),
    case("41 bare field names reset (okhttp)", b"id: a\nevent: b\ndata: c\nid\nevent\ndata\n\n", "c\n"),
    case(
        "43 many events in one write, in order (LD)",
        b"".join(b"data: %d\n\n" % n for n in range(100)),
        *map(str, range(100)),
    ),
    case("45 JSON in place of a stream is no event", b'{"error": {"message": "no"}}\n\n'),
    case("46 a chunk shared by two events (LD)", b"data: test|test\n\ndata:|test\n\n", "testtest", "test"),
)

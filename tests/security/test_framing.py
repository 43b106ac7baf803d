"""Where one request ends and the next begins: what two programs could read in two ways is refused, by the first byte
that says so, and nothing behind it is answered.

Behind each probe a second request follows that must not be answered where the first was refused; where it was
taken, both are, once.
"""

from __future__ import annotations

import pytest

from tests.support.nginx import nginx
from tests.support.raw import Ended, Raw, ask
from tests.support.server import Server

_POST = b"POST /doctor/body HTTP/1.1\r\nhost: test\r\n"
_GET = b"GET /health/live HTTP/1.1\r\nhost: test\r\n"
_SECOND = b"GET /health/ready HTTP/1.1\r\nhost: test\r\n\r\n"
_LAST = _SECOND.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
_CHUNKED = b"transfer-encoding: chunked\r\n"
_EMPTY = b"0\r\n\r\n"

_H2C = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"

_REFUSED = {
    "a length and chunks": _POST + b"content-length: 4\r\n" + _CHUNKED + b"\r\n" + _EMPTY,
    "chunks and a length": _POST + _CHUNKED + b"content-length: 4\r\n\r\n" + _EMPTY,
    "two lengths": _POST + b"content-length: 0\r\ncontent-length: 5\r\n\r\n",
    "one length twice": _POST + b"content-length: 0\r\ncontent-length: 0\r\n\r\n",
    "a list of lengths": _POST + b"content-length: 0, 0\r\n\r\n",
    "a length with a sign": _POST + b"content-length: +0\r\n\r\n",
    "a length in hexadecimal": _POST + b"content-length: 0x0\r\n\r\n",
    "a length that no integer holds": _POST + b"content-length: 99999999999999999999999999\r\n\r\n",
    "a length in two parts": _POST + b"content-length: 0 5\r\n\r\n",
    "no length where one is announced": _POST + b"content-length: \r\n\r\n",
    "a blank before the colon": _POST + b"content-length : 0\r\n\r\n",
    "a folded header": _POST + b"x: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "a folded coding": _POST + b"transfer-encoding:\r\n chunked\r\n\r\n" + _EMPTY,
    "a head of bare line feeds": _POST.replace(b"\r\n", b"\n") + b"content-length: 0\n\n",
    "one bare line feed": _POST + b"x: a\ncontent-length: 0\r\n\r\n",
    "a bare carriage return": _POST + b"x: a\rcontent-length: 0\r\n\r\n",
    "a NUL": _POST + b"x: a\0b\r\ncontent-length: 0\r\n\r\n",
    "a coding that is not chunked": _POST + b"transfer-encoding: xchunked\r\n\r\n" + _EMPTY,
    "another coding within chunks": _POST + b"transfer-encoding: gzip, chunked\r\n\r\n" + _EMPTY,
    "another coding around chunks": _POST + b"transfer-encoding: chunked, gzip\r\n\r\n" + _EMPTY,
    "chunks twice": _POST + _CHUNKED + _CHUNKED + b"\r\n" + _EMPTY,
    "identity, then chunks": _POST + b"transfer-encoding: identity\r\n" + _CHUNKED + b"\r\n" + _EMPTY,
    "chunks, then identity": _POST + _CHUNKED + b"transfer-encoding: identity\r\n\r\n" + _EMPTY,
    "a quoted coding": _POST + b'transfer-encoding: "chunked"\r\n\r\n' + _EMPTY,
    "a vertical tab before the coding": _POST + b"transfer-encoding: \x0bchunked\r\n\r\n" + _EMPTY,
    "a bare line feed behind a chunk's size": _POST + _CHUNKED + b"\r\n1\nx\r\n" + _EMPTY,
    "a bare line feed in a chunk's extension": _POST + _CHUNKED + b"\r\n1;a\nx\r\n" + _EMPTY,
    "a carriage return in a chunk's extension": _POST + _CHUNKED + b"\r\n1;a\rb\r\nx\r\n" + _EMPTY,
    "a bare line feed behind a chunk": _POST + _CHUNKED + b"\r\n1\r\nx\n" + _EMPTY,
    "a chunk that is longer than it says": _POST + _CHUNKED + b"\r\n1\r\nxy\r\n" + _EMPTY,
    "a chunk of a size with a prefix": _POST + _CHUNKED + b"\r\n0x1\r\nx\r\n" + _EMPTY,
    "a chunk of less than nothing": _POST + _CHUNKED + b"\r\n-1\r\nx\r\n" + _EMPTY,
    "a chunk that no integer holds": _POST + _CHUNKED + b"\r\nfffffffffffffffff1\r\nx\r\n" + _EMPTY,
    "a length behind the last chunk": _POST + _CHUNKED + b"\r\n0\r\ncontent-length: 5\r\n\r\n",
    "two hosts": _GET + b"host: evil.example\r\n\r\n",
    "a fragment in the target": b"GET /health/live#/metrics HTTP/1.1\r\nhost: test\r\n\r\n",
    "bytes that no target has": b"GET /events/\xff HTTP/1.1\r\nhost: test\r\n\r\n",
    "a header without a name": _GET + b": x\r\n\r\n",
    "a header without a colon": _GET + b"x\r\n\r\n",
    "the start of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
_TAKEN = {
    "a length": _POST + b"content-length: 1\r\n\r\nx",
    "blanks behind a length": _POST + b"content-length: 1 \t\r\n\r\nx",
    "chunks": _POST + _CHUNKED + b"\r\n1\r\nx\r\n" + _EMPTY,
    "chunks in capitals": _POST + _CHUNKED.upper() + b"\r\n1\r\nx\r\n" + _EMPTY,
    "a chunk with an extension": _POST + _CHUNKED + b'\r\n1;a="b"\r\nx\r\n' + _EMPTY,
    "a trailer": _POST + _CHUNKED + b"\r\n1\r\nx\r\n0\r\nx: a\r\n\r\n",
    "a name with an underscore, which is another": _POST + b"content_length: 9\r\ncontent-length: 1\r\n\r\nx",
    "a wish for HTTP/2": _GET + _H2C + b"\r\n",
    "a body that nobody reads": _GET + b"content-length: 1\r\n\r\nx",
}


@pytest.mark.parametrize("probe", _REFUSED.values(), ids=_REFUSED)
def test_what_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_answered(
    server: Server, probe: bytes
) -> None:
    with server.connect() as raw:
        raw.send(probe + _SECOND)
        head = raw.head()
        assert (head.status, head.headers["connection"]) == (400, "close")
        assert b'"malformed"' in raw.read()
        raw.finish()
        assert raw.closed()


@pytest.mark.parametrize("probe", _TAKEN.values(), ids=_TAKEN)
def test_what_can_be_read_in_one_way_is_answered_and_so_is_the_next(server: Server, probe: bytes) -> None:
    with server.connect() as raw:
        raw.send(probe + _SECOND)
        first = raw.head(), raw.read()
        second = raw.head(), raw.read()
    assert (first[0].status, second[0].status) == (200, 200)
    assert first[1] in {b'{"bytes":1}', b'{"status":"live"}'}
    assert second[1] == b'{"status":"ready"}'


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_body_behind_a_wish_for_another_protocol_is_a_body(server: Server, pieces: int, chunked: bool) -> None:
    """The parser would have it for that protocol's, drop what came with the head, and answer the rest as a request."""
    framing = _CHUNKED if chunked else b"content-length: %d\r\n" % len(_SECOND)
    body = b"%x\r\n%b\r\n%b" % (len(_SECOND), _SECOND, _EMPTY) if chunked else _SECOND
    with server.connect() as raw:
        raw.send(_POST + _H2C + framing + b"\r\n" + (body if pieces == 1 else b""))
        if pieces > 1:
            for at in range(0, len(body), len(body) // pieces):
                assert raw.silent_for(0.02)
                raw.send(body[at : at + len(body) // pieces])
        head = raw.head()
        assert (head.status, head.headers["connection"]) == (200, "close")
        assert raw.read() == b'{"bytes":%d}' % len(_SECOND)
        assert raw.closed()


def test_chunks_over_http_1_0_are_the_connections_last_words(server: Server) -> None:
    """RFC 9112, 6.1: such a message is to be treated as if its framing were faulty."""
    with server.connect() as raw:
        request = _POST.replace(b"1.1", b"1.0") + b"connection: keep-alive\r\n" + _CHUNKED + b"\r\n" + _EMPTY
        raw.send(request + _SECOND)
        assert raw.head().status == 200
        raw.read()
        with pytest.raises(Ended):
            raw.head()


def test_behind_nginx_no_probe_leaves_anything_for_whoever_comes_next(server: Server) -> None:
    """nginx keeps its connections to us: had the two of us parted at different bytes, the next client would be given
    what is left of the probe's answers."""
    with nginx([server.address]) as front:
        hidden = {"a request in a body": _POST + _H2C + b"content-length: %d\r\n\r\n" % len(_SECOND) + _SECOND}
        for name, probe in {**_REFUSED, **_TAKEN, **hidden}.items():
            with Raw(front, timeout=1) as raw:
                raw.send(probe + _LAST)
                assert len(_statuses(raw)) <= 2, name
            for _ in range(2):
                assert ask(front, "GET", "/v1/models").json()["object"] == "list", name


def _statuses(raw: Raw) -> list[int]:
    """The statuses of all answers, to the end of the connection, or of what nginx has to say to half a request."""
    statuses = []
    try:
        while True:
            statuses.append(raw.head().status)
            raw.read()
    except (Ended, TimeoutError):
        return statuses

"""What was measured, as values. Times are in seconds since the request was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tailrace.sse import Event

__all__ = ["Facts", "Passed", "Seen", "Streams", "Watched"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the server saw of a request: what the proxies left of it."""

    version: str
    http: str
    headers: Mapping[str, str]
    credentials: frozenset[str]
    echo: str
    heartbeat: float
    max_body: int

    @classmethod
    def parse(cls, said: Mapping[str, Any]) -> Seen:
        """Read it from a probe's first event. Raises `KeyError`, `TypeError` or `ValueError` where it is none."""
        return cls(
            version=str(said["tailrace"]),
            http=str(said["http"]),
            headers={str(name): str(value) for name, value in dict(said["headers"]).items()},
            credentials=frozenset(map(str, said["credentials"])),
            echo=str(said["echo"]),
            heartbeat=float(said["heartbeat"]),
            max_body=int(said["max_body"]),
        )


@dataclass(frozen=True, slots=True)
class Watched:
    """A stream as it arrived: its head, its events, and when there were bytes of any kind.

    `complete` says that its last event came; `ended` when it was over, `why` how where it was not complete.
    """

    status: int
    http: str
    headers: Mapping[str, str]
    events: Sequence[tuple[float, Event]]
    arrivals: Sequence[float]
    complete: bool
    ended: float
    why: str = ""

    @property
    def silence(self) -> float:
        """The seconds without a byte before it ended."""
        return self.ended - (self.arrivals[-1] if self.arrivals else 0.0)

    @property
    def longest_silence(self) -> float:
        """The longest time without a byte."""
        times = [*self.arrivals, self.ended]
        return max([later - sooner for sooner, later in pairwise(times)], default=self.ended)


@dataclass(frozen=True, slots=True)
class Passed:
    """The answer to a request that is no stream; `told` is what a body of JSON said."""

    status: int
    headers: Mapping[str, str]
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What became of streams below one path of the server: proxies are set up by path.

    `seen` is what the server saw of the request for them, `echoed` whether their query arrived. `ticking`: a stream
    whose events left one by one, and a second one where they came late.
    """

    path: str
    seen: Seen
    echoed: bool
    ticking: Sequence[Watched]
    compressed: Watched
    quiet: Watched | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was measured. None is what was not asked for, or could not be.

    `redirects` are the URLs that the first one led to. `keyed`: whether a key was sent; a redirect to another host gets
    none. `streams` are those of the server's root first; `elsewhere` has the paths below which another server answers,
    and with what status. `swallowed`: the bytes that left the server while nobody read them. `large`: the length of the
    `body` that was sent. `preflight` and `crossed` are what a page of another origin gets. `alpn` is what TLS agreed on
    when HTTP/2 was offered.
    """

    url: str
    redirects: Sequence[str]
    keyed: bool
    streams: Sequence[Streams]
    elsewhere: Mapping[str, int]
    swallowed: int | None
    body: Passed
    large: int
    preflight: Passed | None
    crossed: Watched | None
    alpn: str | None

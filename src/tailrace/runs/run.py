"""One answer in progress: a log that ends, and the task that produces it.

A run belongs to nobody's connection. It goes on while its viewers come and go, until its producer is
through, somebody cancels it, or nobody has watched it for its grace period.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from tailrace.errors import ErrorType, RunError
from tailrace.hub import Hub, Tail
from tailrace.log import Batch, Record, Writer
from tailrace.runs.deltas import Delta, Finish, Text, Thinking, ToolCall, Usage
from tailrace.runs.native import DONE, Said, entry, error_entry, finish_entry
from tailrace.runs.states import NEXT, Status, ending

__all__ = ["Item", "Producer", "Run", "RunEvents", "RunOptions", "discard"]

log = logging.getLogger("tailrace")

Item = str | Delta | Sequence[Delta]
"""What a producer yields: text, a delta, or all the deltas that came at once."""

Producer = AsyncIterable[Item] | Callable[[], AsyncIterable[Item]]
"""Where an answer comes from: an async iterator, or what makes one (so that a resume makes none)."""

# Tuples: a union would be built anew for each look at a delta.
_SPOKEN = (Text, Thinking, ToolCall)
_DELTAS = (*_SPOKEN, Usage, Finish)
_TURN = 0.0025  # seconds after which it is looked whether a producer lets others have their turn
_BYTES_PER_TOKEN = 4
_FIRST_VIEWER = 1.0
"""Seconds that a run waits for its first viewer at least: with no grace at all, nobody could come in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run is and how long it may go on.

    `owner` is who it belongs to (None: whoever knows its id). `grace`: seconds without a viewer before it
    is cancelled (0 = at once, None = never). `max_bytes` bounds what it may say. `prompt_bytes` is the
    question's size in UTF-8, for an estimate of its tokens where nobody says better. `keep`: seconds for
    which it can be read after its end (None: for good).

    Raises `ValueError` for a time or a size that is none.
    """

    model: str = ""
    provider: str = ""
    owner: str | None = None
    grace: float | None = 10.0
    max_bytes: int = 8_388_608
    prompt_bytes: int = 0
    keep: float | None = 900.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, seconds in (("grace", self.grace), ("keep", self.keep)):
            if seconds is not None and not seconds >= 0:
                raise ValueError(f"{name} must be 0 seconds or more, not {seconds}")
        if self.max_bytes < 1 or self.prompt_bytes < 0:
            raise ValueError("max_bytes must be 1 or more, prompt_bytes 0 or more")


@dataclass(frozen=True, slots=True)
class RunEvents:
    """Who hears of a run: `ended` when its terminal is said, `stored` when the store has all of it; each once."""

    ended: Callable[[Run], None]
    stored: Callable[[Run], None]


class Run:
    """An answer in progress."""

    __slots__ = (
        "_bytes",
        "_events",
        "_hub",
        "_producing",
        "_said",
        "_task",
        "_turn_ends",
        "_turned",
        "_usage",
        "_writer",
        "id",
        "options",
        "patient",
        "slot",
        "status",
        "tail",
        "viewers",
    )

    def __init__(
        self, run: str, tail: Tail, options: RunOptions, *, hub: Hub, writer: Writer, events: RunEvents
    ) -> None:
        self.id = run
        self.tail = tail
        self.options = options
        self.status = Status.RUNNING
        self.viewers = 0
        self.patient = False  # while this process leaves, a run waits for viewers who are on their way elsewhere
        self.slot = -1
        self._hub = hub
        self._writer = writer
        self._events = events
        self._usage = Usage()
        self._bytes = 0
        self._said = 0
        self._turn_ends = 0.0
        self._turned = True  # whether the loop came round since the producer was looked at
        self._task: asyncio.Task[None] | None = None
        self._producing = False

    @property
    def begun(self) -> bool:
        """Whether it was ever started."""
        return self._task is not None

    @property
    def ended(self) -> bool:
        """Whether its terminal is said."""
        return self.status is not Status.RUNNING

    def begin(self, producer: Producer) -> None:
        """Start producing."""
        self._task = asyncio.get_running_loop().create_task(self._produce(producer), name=f"run {self.id}")
        self._wait_for_viewers(_FIRST_VIEWER)

    async def _produce(self, producer: Producer) -> None:
        if self.ended:
            await discard(producer)
            return
        self._producing = True
        items = None
        try:
            items = aiter(producer() if callable(producer) else producer)
            await self._consume(items)
            self._finish("stop")
        except RunError as error:
            self._fail(self._checked(error))
        except asyncio.CancelledError:
            self._fail_cancelled()
            raise
        except Exception:
            log.exception("the producer of run %s raised", self.id)
            self._fail(_producer_failed())
        finally:
            if items is not None:
                await _close(items)

    async def _consume(self, items: AsyncIterator[Item]) -> None:
        clock = self._hub.clock
        self._turn_ends = clock.monotonic() + _TURN
        async for item in items:
            if not self.ended:  # it may be, by the producer itself, or in spite of one that ignores a cancellation
                self._take(item)
            if self.ended:
                return
            if clock.monotonic() > self._turn_ends:
                await self._look_at_turns()
                self._turn_ends = clock.monotonic() + _TURN

    async def _look_at_turns(self) -> None:
        """Make way for others, where the producer has not waited since the last look.

        One that waits for each token, which takes longer than a look, needs no second wait for it.
        """
        if not self._turned:
            await asyncio.sleep(0)
        self._turned = False
        asyncio.get_running_loop().call_soon(self._on_turn)

    def _on_turn(self) -> None:
        self._turned = True

    def _checked(self, error: RunError) -> RunError:
        """The error, if its type is one that clients know; the operator reads of it as well."""
        kind: object = error.type
        if not isinstance(kind, ErrorType):
            log.error("the producer of run %s raised an error of unknown type %r: %s", self.id, error.type, error)
            return _producer_failed()
        what = "/".join(filter(None, [self.options.provider, self.options.model])) or "an application"
        log.warning("run %s of %s failed: %s: %s", self.id, what, error.type, error.message)
        return error

    def _fail_cancelled(self) -> None:
        """End a run whose task was cancelled by somebody else: the loop that closes, or the producer itself."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            self._fail(RunError(ErrorType.TAILRACE_INTERRUPTED, "the task that produced this answer was cancelled"))
        else:
            self._fail(_producer_failed())

    def _take(self, item: Item) -> None:
        entries: list[Said] = []
        texts: list[str] = []
        reason = None
        for delta in _deltas(item):
            if isinstance(delta, _SPOKEN):
                entries.append(entry(delta))
                texts.append(delta.arguments if isinstance(delta, ToolCall) else delta.text)
            elif isinstance(delta, Usage):
                self._merge(delta)
            elif isinstance(delta, Finish):
                reason = delta.reason
                break
            else:
                raise TypeError(f"a producer yields text, deltas or sequences of deltas, not {type(delta).__name__}")
        # Once for all that came together: a provider's answer may be one item of many deltas.
        self._said += _size("".join(texts))
        self._bytes += _size("".join([data for _, data in entries]))
        if self._bytes > self.options.max_bytes:
            limit = f"the answer is larger than the {self.options.max_bytes} bytes that are allowed"
            self._fail(RunError(ErrorType.POLICY_RUN_TOO_LARGE, limit))
        elif reason is not None:
            self._finish(reason, entries)
        elif entries:
            self._append(entries)

    def _merge(self, usage: Usage) -> None:
        known = self._usage
        self._usage = Usage(
            usage.input_tokens if usage.input_tokens is not None else known.input_tokens,
            usage.output_tokens if usage.output_tokens is not None else known.output_tokens,
        )

    def usage(self) -> dict[str, int | bool]:
        """Tokens so far: the provider's figures, else an estimate from the texts' sizes."""
        known = self._usage
        given = known.input_tokens, known.output_tokens
        estimate = _tokens(self.options.prompt_bytes), _tokens(self._said)
        return {
            "input_tokens": estimate[0] if given[0] is None else given[0],
            "output_tokens": estimate[1] if given[1] is None else given[1],
            "estimated": None in given,
        }

    def _finish(self, reason: str, entries: Sequence[Said] = ()) -> None:
        options = self.options
        finish = finish_entry(reason, self.usage(), options.model, options.provider)
        self._end(Status.FINISHED, [*entries, finish, DONE])

    def _fail(self, error: RunError) -> None:
        self._end(ending(error.type), [error_entry(error, self.usage()), DONE])

    def cancel(self, error: RunError) -> bool:
        """End the run because of `error`, and abort what produces it; False if it has ended already."""
        if self.ended:
            return False
        self._fail(error)
        if self._task is not None and self._producing:  # else its task sees to the producer when it begins
            self._task.cancel()
        return True

    def _end(self, status: Status, entries: Sequence[Said]) -> None:
        if status not in NEXT[self.status]:
            return
        self.status = status
        self._hub.wheel.cancel(self)
        self._append(entries, ends=True)
        self._events.ended(self)

    def _append(self, entries: Sequence[Said], *, ends: bool = False) -> None:
        tail, now = self.tail, self._hub.clock.time()
        records = [Record(offset, event, data, now) for offset, (event, data) in enumerate(entries, tail.head + 1)]
        tail.append(records, ends=ends)
        keep = self.options.keep if ends else None
        self._writer.put(Batch(tail.log, tail.epoch, records, ends, keep), self._stored_all if ends else tail.on_stored)

    def _stored_all(self, offset: int) -> None:
        self.tail.on_stored(offset)
        self._events.stored(self)

    async def wait_closed(self) -> None:
        """Wait until nothing of the producer is left."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    # Who watches.

    def watch(self) -> None:
        """Count a viewer in."""
        self.viewers += 1
        self._hub.wheel.cancel(self)

    def unwatch(self) -> None:
        """Count a viewer out; the last one starts the grace period."""
        self.viewers -= 1
        self._wait_for_viewers()

    def _wait_for_viewers(self, least: float = 0.0) -> None:
        grace = self.options.grace
        if self.viewers or grace is None or self.ended:
            return
        seconds = max(grace, least)
        if seconds > 0 or self.patient:
            self._hub.wheel.schedule(self, seconds)
        else:
            self._abandon()

    def on_timer(self, now: float) -> float | None:
        """Cancel what nobody watched for its grace period."""
        if self.patient:
            return max(self.options.grace or 0.0, 1.0)
        if not self.viewers:
            self._abandon()
        return None

    def _abandon(self) -> None:
        self.cancel(RunError(ErrorType.CALLER_GONE, "nobody was watching this answer any more"))


async def discard(producer: Producer) -> None:
    """Close a producer that is not needed; one that would only be made by a call is not made."""
    if not callable(producer):
        await _close(producer)


async def _close(items: AsyncIterable[Item]) -> None:
    close = getattr(items, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except Exception:
        log.exception("a producer failed while it was being closed")


def _producer_failed() -> RunError:
    return RunError(ErrorType.TAILRACE_PRODUCER, "the application that produces this answer failed")


def _deltas(item: Item) -> Sequence[Delta]:
    if isinstance(item, str):
        return (Text(item),)
    return (item,) if isinstance(item, _DELTAS) else item


def _size(text: str) -> int:
    """Bytes in UTF-8; half of a surrogate pair counts as what stands for it."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)

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
from tailrace.log import Batch, Entry, Record, Writer
from tailrace.runs.deltas import Delta, Finish, Text, Thinking, ToolCall, Usage
from tailrace.runs.native import DONE, entry, error_entry, finish_entry, start_entry
from tailrace.runs.states import NEXT, Status, ending

__all__ = ["Item", "Producer", "Run", "RunOptions"]

log = logging.getLogger("tailrace")

Item = str | Delta | Sequence[Delta]
"""What a producer yields: text, a delta, or all the deltas that came at once."""

Producer = AsyncIterable[Item] | Callable[[], AsyncIterable[Item]]
"""Where an answer comes from: an async iterator, or what makes one (so that a resume makes none)."""

_TURN = 0.005  # seconds that a producer which never waits may keep the loop
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run is and how long it may go on.

    `owner` is who it belongs to (None: whoever knows its id). `grace`: seconds without a viewer before it
    is cancelled (0 = at once, None = never). `max_bytes` bounds what it may say. `prompt_bytes` is the
    question's size in UTF-8, for an estimate of its tokens where nobody says better.
    """

    model: str = ""
    provider: str = ""
    owner: str | None = None
    grace: float | None = 10.0
    max_bytes: int = 8_388_608
    prompt_bytes: int = 0


class Run:
    """An answer in progress. `on_end` is called once, with the run, when its terminal is written."""

    __slots__ = (
        "_bytes",
        "_hub",
        "_on_end",
        "_said",
        "_task",
        "_turn_ends",
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
        self, run: str, tail: Tail, options: RunOptions, *, hub: Hub, writer: Writer, on_end: Callable[[Run], None]
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
        self._on_end = on_end
        self._usage = Usage()
        self._bytes = 0
        self._said = 0
        self._turn_ends = 0.0
        self._task: asyncio.Task[None] | None = None
        self._append([start_entry(run, options.model)])

    def begin(self, producer: Producer) -> None:
        """Start producing."""
        self._task = asyncio.get_running_loop().create_task(self._produce(producer), name=f"run {self.id}")

    async def _produce(self, producer: Producer) -> None:
        items = aiter(producer() if callable(producer) else producer)
        self._turn_ends = self._hub.clock.monotonic() + _TURN
        try:
            async for item in items:
                self._take(item)
                if self.status is not Status.RUNNING:
                    return
                if self._hub.clock.monotonic() > self._turn_ends:
                    await asyncio.sleep(0)
                    self._turn_ends = self._hub.clock.monotonic() + _TURN
            self._finish("stop")
        except RunError as error:
            self._fail(error)
        except Exception:
            log.exception("the producer of run %s raised", self.id)
            self._fail(RunError(ErrorType.TAILRACE_PRODUCER, "the application that produces this answer failed"))
        finally:
            await _close(items)

    def _take(self, item: Item) -> None:
        deltas: Sequence[Delta] = (Text(item),) if isinstance(item, str) else _deltas(item)
        entries: list[Entry] = []
        for delta in deltas:
            if isinstance(delta, Text | Thinking | ToolCall):
                entries.append(self._say(delta))
            elif isinstance(delta, Usage):
                self._merge(delta)
            else:
                self._finish(delta.reason, entries)
                return
        if self._bytes > self.options.max_bytes:
            limit = f"the answer is larger than the {self.options.max_bytes} bytes that are allowed"
            self._fail(RunError(ErrorType.POLICY_RUN_TOO_LARGE, limit))
        elif entries:
            self._append(entries)

    def _say(self, delta: Text | Thinking | ToolCall) -> Entry:
        said = entry(delta)
        text = delta.arguments if isinstance(delta, ToolCall) else delta.text
        try:
            self._said += len(text) if text.isascii() else len(text.encode())
        except UnicodeEncodeError:
            # Half of a surrogate pair, which no UTF-8 can say: a producer that splits text by UTF-16 units.
            said = Entry(said.event, (said.data or "").encode(errors="replace").decode())
        self._bytes += len(said.data or "")
        return said

    def _merge(self, usage: Usage) -> None:
        known = self._usage
        self._usage = Usage(
            usage.input_tokens if usage.input_tokens is not None else known.input_tokens,
            usage.output_tokens if usage.output_tokens is not None else known.output_tokens,
        )

    def usage(self) -> dict[str, object]:
        """Tokens so far: the provider's figures, else an estimate from the texts' sizes."""
        known = self._usage
        given = known.input_tokens, known.output_tokens
        estimate = _tokens(self.options.prompt_bytes), _tokens(self._said)
        return {
            "input_tokens": estimate[0] if given[0] is None else given[0],
            "output_tokens": estimate[1] if given[1] is None else given[1],
            "estimated": None in given,
        }

    def _finish(self, reason: str, entries: Sequence[Entry] = ()) -> None:
        options = self.options
        finish = finish_entry(reason, self.usage(), options.model, options.provider)
        self._end(Status.FINISHED, [*entries, finish, DONE])

    def _fail(self, error: RunError) -> None:
        self._end(ending(error.type), [error_entry(error), DONE])

    def cancel(self, error: RunError) -> bool:
        """End the run because of `error`, and abort what produces it; False if it has ended already."""
        if self.status is not Status.RUNNING:
            return False
        self._fail(error)
        if self._task is not None:
            self._task.cancel()
        return True

    def _end(self, status: Status, entries: Sequence[Entry]) -> None:
        if status not in NEXT[self.status]:
            return
        self.status = status
        self._hub.wheel.cancel(self)
        self._append(entries, ends=True)
        self._on_end(self)

    def _append(self, entries: Sequence[Entry], *, ends: bool = False) -> None:
        tail, now = self.tail, self._hub.clock.time()
        records = [Record(offset, *said, now) for offset, said in enumerate(entries, tail.head + 1)]
        tail.append(records, ends=ends)
        self._writer.put(Batch(tail.log, tail.epoch, records, ends), tail.on_stored)

    async def wait_closed(self) -> None:
        """Wait until nothing of the producer is left."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    # Who watches.

    def watch(self) -> None:
        """Count a viewer in."""
        self.viewers += 1
        self._hub.wheel.cancel(self)

    def unwatch(self) -> None:
        """Count a viewer out; the last one starts the grace period."""
        self.viewers -= 1
        grace = self.options.grace
        if self.viewers or grace is None or self.status is not Status.RUNNING:
            return
        if grace > 0 or self.patient:
            self._hub.wheel.schedule(self, grace)
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


def _deltas(item: Delta | Sequence[Delta]) -> Sequence[Delta]:
    return (item,) if isinstance(item, Text | Thinking | ToolCall | Usage | Finish) else item


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)


async def _close(items: AsyncIterator[Item]) -> None:
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()

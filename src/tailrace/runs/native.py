"""The native dialect: what a run says, as the events that Tailrace's own clients read.

A run's record is one such event, so writing it is done once, when it is appended. Reading a run back
as what was said is done here, folding that into its state in `summary`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

from tailrace.errors import ErrorType, ProviderError, RunError
from tailrace.hub import control
from tailrace.log import Position, Record
from tailrace.runs.account import Account
from tailrace.runs.deltas import Delta, Finish, Refusal, Restart, Text, Thinking, ToolCall, Usage
from tailrace.runs.folding import fold
from tailrace.runs.frames import HIDDEN, Said, native_part
from tailrace.runs.tally import PARTS
from tailrace.sse import HEARTBEAT, encode_block

__all__ = [
    "DONE",
    "NativeRenderer",
    "bare",
    "deltas_of_record",
    "entry",
    "error_entry",
    "error_of_record",
    "finish_entry",
    "interruption",
    "restart_entry",
    "start_entry",
]

DONE: Said = ("done", "[DONE]")
"""The last record of every run."""

RETRY = 2000
"""Milliseconds that a client waits before it comes back; told with a run's first event."""


_dump = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _json(value: object) -> str:
    return _sayable(_dump(value))


def _quote(text: str) -> str:
    return encode_basestring(text if text.isascii() else _sayable(text))


def _sayable(text: str) -> str:
    """The text, with U+FFFD for each half of a surrogate pair that stands alone: UTF-8 cannot say it.

    Producers that split text by UTF-16 units bring such halves; two that meet become the character they are.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def entry(delta: Text | Thinking | ToolCall) -> Said:
    """A piece of an answer as the record that says it."""
    # Written by hand, as what comes with each run is: a fifth of what json.dumps takes for a dict.
    if isinstance(delta, Text):
        if isinstance(delta, Refusal):  # who knows no difference reads it as text; the dialects of others tell it apart
            return ("", f'{{"text":{_quote(delta.text)},"refusal":true}}')
        return ("", f'{{"text":{_quote(delta.text)}}}')
    if isinstance(delta, Thinking):
        return ("thinking", f'{{"text":{_quote(delta.text)}}}')
    return ("tool", _json({"index": delta.index, "id": delta.id, "name": delta.name, "arguments": delta.arguments}))


def start_entry(run: str, model: str) -> Said:
    """A run's first record."""
    return ("start", f'{{"run":"{run}","model":{_quote(model)}}}')


def restart_entry(restart: Restart) -> Said:
    """What tells a client to discard what was said so far."""
    return ("restart", _json({"provider": restart.provider, "model": restart.model, "reason": restart.reason}))


def finish_entry(reason: str, account: Account) -> Said:
    """What is said when the model ended by itself."""
    usage = account.usage
    estimated = "true" if usage["estimated"] else "false"
    tokens = f'"input_tokens":{usage["input_tokens"]},"output_tokens":{usage["output_tokens"]},"estimated":{estimated}'
    if len(usage) > _USUAL_COUNTS:
        tokens += "".join([f',"{part}":{usage[part]}' for part in PARTS if part in usage])
    who = f'"model":{_quote(account.model)},"provider":{_quote(account.provider)}'
    times = f'"first_token":{_number(account.first_token)},"seconds":{account.seconds}'
    attempts = _json(account.attempts) if account.attempts else "[]"
    said = f'"finish_reason":{_quote(reason)},"usage":{{{tokens}}},{who},{times},"attempts":{attempts}'
    return ("finish", f"{{{said}}}")


_USUAL_COUNTS = 3


def _number(value: float | None) -> str:
    return "null" if value is None else str(value)


def error_entry(error: RunError, account: Account | None) -> Said:
    """What is said when a run ends in another way; what was said before has its price too, where it is known."""
    said: dict[str, Any] = {"type": error.type, "message": error.message, "retryable": error.retryable}
    told = {"error": said}
    if isinstance(error, ProviderError):
        if error.code is not None:
            said["code"] = error.code
        # For the dialects whose clients are told by a status and a provider's words, on whichever instance they ask.
        facts = {name: getattr(error, name) for name in _FACTS}
        told |= {name: fact for name, fact in facts.items() if fact is not None}
    return ("error", _json(told if account is None else told | account.told()))


_FACTS = ("status", "retry_after", "kind", "param")

_DIED = "the server that produced this answer died; what it had said is kept"


def interruption(message: str = _DIED, account: Account | None = None) -> tuple[Said, Said]:
    """The end of a run that its producer could not end, as whoever finds it says it; by default, that it died."""
    return error_entry(RunError(ErrorType.TAILRACE_INTERRUPTED, message), account), DONE


@dataclass(frozen=True, slots=True)
class NativeRenderer:
    """Shows a run's records as they are; the first one tells the client how long to wait before coming back.

    `framed` says that frames of the upstream may ride on them, which are not shown.
    """

    framed: bool = False

    @property
    def dialect(self) -> str:
        """Tailrace's own."""
        return "native"

    @property
    def hides(self) -> bool:
        """A record that says nothing moves the cursor unseen, but never for long: the terminal is shown."""
        return False

    @property
    def heartbeat(self) -> bytes:
        """A comment."""
        return HEARTBEAT

    def control(self, event: str, data: object, position: Position | None, retry: int | None) -> bytes:
        """All of the hub's own events are known to native clients."""
        return control(event, data, position=position, retry=retry)

    def broken(self) -> bytes | None:
        """A reader that missed something is told, and reads on."""
        return None

    def fold(self, records: Sequence[Record]) -> Sequence[Record]:
        """Neighbouring pieces of an answer in one, for who is far behind."""
        return fold([bare(record) for record in records] if self.framed else records)

    def render(self, epoch: str, records: Sequence[Record]) -> list[bytes]:
        """An event for each, or nothing."""
        if self.framed:
            records = [bare(record) for record in records]
        # A record's data is JSON on one line, so a piece of text needs no look for line ends: half the time.
        id_field = f"id: {epoch}-"
        return [
            f"{id_field}{offset}\ndata: {data}\n\n".encode()
            if not event and data is not None
            else _named(epoch, offset, event, data)
            for offset, event, data, _ in records
        ]


def bare(record: Record) -> Record:
    """A record that may have frames of its upstream on it as the native dialect shows it."""
    offset, event, data, at = record
    if data is None or event == HIDDEN:
        return Record(offset, "", None, at)
    return Record(offset, event, native_part(data), at)


def _named(epoch: str, offset: int, event: str, data: str | None) -> bytes:
    if data is None:
        return b""
    return encode_block(data, event, f"{epoch}-{offset}", RETRY if event == "start" else None)


# Reading a record back.


def deltas_of_record(event: str, data: str) -> Sequence[Delta]:
    """What an upstream said by a record; nothing for one that says how the run began, broke or is over."""
    match event:
        case "" | "thinking" | "tool" | "finish":
            return _deltas(event, json.loads(native_part(data)))
        case _:
            return ()


def _deltas(event: str, told: dict[str, Any]) -> Sequence[Delta]:
    match event:
        case "":
            return (Refusal(told["text"]) if told.get("refusal") else Text(told["text"]),)
        case "thinking":
            return (Thinking(told["text"]),)
        case "tool":
            return (ToolCall(told["index"], told["id"], told["name"], told["arguments"]),)
        case _:
            usage = told["usage"]
            parts = {part: usage.get(part) for part in PARTS}
            return (Usage(usage["input_tokens"], usage["output_tokens"], **parts), Finish(told["finish_reason"]))


def error_of_record(data: str) -> RunError:
    """The error that an `error` record tells."""
    told = json.loads(native_part(data))
    error = told["error"]
    return ProviderError(
        ErrorType(error["type"]),
        error["message"],
        retryable=error["retryable"],
        code=error.get("code"),
        **{name: told.get(name) for name in _FACTS},
    )

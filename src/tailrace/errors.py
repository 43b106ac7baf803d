"""What can go wrong, as one tree, and the closed list of reasons a run can end with.

This module says *who* is at fault and carries the facts as attributes; turning an error
into an HTTP problem, a record of a run or a line on a terminal is left to the floors above.

    TailraceError
    ├── InvalidEvent          (ValueError)   an event that cannot be written to the wire: our caller's bug
    ├── EventTooLarge                        a peer's event is over the decoder's bound
    ├── InvalidName           (ValueError)   a channel or event name outside the allowed alphabet
    ├── SettingsError         (ValueError)   a setting that is unknown, of the wrong type or impossible
    ├── MissingExtra          (ImportError)  a part was asked for without the extra that brings it
    ├── StoreError
    │   ├── StoreUnavailable                 the store cannot take this now; `retry_after` says when to ask again
    │   └── LogEnded                         an append to logs that take none any more; `logs` names them
    ├── RunNotFound           (LookupError)  no such run, or not this caller's: the two look alike
    ├── UnknownModel          (LookupError)  a model name that no route and no provider answers to
    ├── KeyReused                            an idempotency key came again with another body
    ├── RequestRefused                       our Python client: the server answered with a problem
    ├── Unreachable           (ConnectionError)  our Python client: no server answered, however often it tried
    ├── Overloaded                           this process has all that it takes on; `retry_after` says when again
    ├── CredentialRefused (access.refusals)  nobody is believed to be calling: the credential is no good
    ├── CannotTell (access.refusals)         what a credential is judged by cannot be had now
    ├── Refused (access.limits)              a caller is over a limit; `retry_after` says when again
    └── RunError                             why a run did not finish; `type` is one of `ErrorType`
        └── ProviderError                    the upstream's part of them; `status` where HTTP gave one
            └── Saturated (chat.places)      a bound of ours: no place came free among a provider's streams
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

__all__ = [
    "ErrorType",
    "EventTooLarge",
    "InvalidEvent",
    "InvalidName",
    "KeyReused",
    "LogEnded",
    "MissingExtra",
    "Overloaded",
    "ProviderError",
    "RequestRefused",
    "RunError",
    "RunNotFound",
    "SettingsError",
    "StoreError",
    "StoreUnavailable",
    "TailraceError",
    "UnknownModel",
    "Unreachable",
]


class ErrorType(StrEnum):
    """Why a run did not finish. The part before the first underscore says who is at fault.

    The list is closed: clients switch on it and metrics carry it as a label.
    """

    CALLER_CANCELLED = "caller_cancelled"
    """Somebody with the right to it asked for the run to be cancelled."""
    CALLER_GONE = "caller_gone"
    """Nobody watched the run for its grace period, so it was cancelled upstream."""
    CALLER_UNKNOWN_RUN = "caller_unknown_run"
    """A cursor named a run that is unknown here, or somebody else's; no new run was started."""
    POLICY_RUN_TOO_LARGE = "policy_run_too_large"
    """The run said more than `max_run_bytes`."""
    POLICY_TOKEN_BUDGET = "policy_token_budget"
    """The caller's answers have used more tokens than a minute's budget had."""
    PROVIDER_UNREACHABLE = "provider_unreachable"
    """The connection was refused, reset before an answer, or the name did not resolve."""
    PROVIDER_CONNECT_TIMEOUT = "provider_connect_timeout"
    PROVIDER_FIRST_TOKEN_TIMEOUT = "provider_first_token_timeout"
    PROVIDER_IDLE_TIMEOUT = "provider_idle_timeout"
    """The stream stalled: nothing arrived for the idle timeout."""
    PROVIDER_TOTAL_TIMEOUT = "provider_total_timeout"
    PROVIDER_AUTH = "provider_auth"
    """401 or 403 from the provider: the operator's key, not the caller's."""
    PROVIDER_RATE_LIMITED = "provider_rate_limited"
    PROVIDER_OVERLOADED = "provider_overloaded"
    """503 or 529, or the same said inside the stream."""
    PROVIDER_REJECTED = "provider_rejected"
    """Another 4xx: the provider will not answer this request, however often it is asked."""
    PROVIDER_FAILED = "provider_failed"
    """Another 5xx, 408 or 409, or an error event inside the stream."""
    PROVIDER_CUT = "provider_cut"
    """The connection broke in the middle of the answer."""
    PROVIDER_INCOMPLETE = "provider_incomplete"
    """The stream ended cleanly but without its terminal: a truncated answer, never a success."""
    PROVIDER_MALFORMED = "provider_malformed"
    """A frame, or the whole answer, is not what this kind of provider sends."""
    TAILRACE_PRODUCER = "tailrace_producer"
    """The application's own async iterator raised."""
    TAILRACE_INTERRUPTED = "tailrace_interrupted"
    """The process that produced the run stopped, or died, before the end."""
    TAILRACE_INTERNAL = "tailrace_internal"
    """A fault of ours; the log has the traceback."""


_RETRYABLE = frozenset(
    {
        ErrorType.PROVIDER_UNREACHABLE,
        ErrorType.PROVIDER_CONNECT_TIMEOUT,
        ErrorType.PROVIDER_FIRST_TOKEN_TIMEOUT,
        ErrorType.PROVIDER_IDLE_TIMEOUT,
        ErrorType.PROVIDER_RATE_LIMITED,
        ErrorType.PROVIDER_OVERLOADED,
        ErrorType.PROVIDER_FAILED,
        ErrorType.PROVIDER_CUT,
        ErrorType.PROVIDER_INCOMPLETE,
        ErrorType.TAILRACE_INTERRUPTED,
    }
)


_NAMED = 5
"""Logs that an error's text names at most: a store that was restarted empty has lost thousands at once."""


class TailraceError(Exception):
    """Anything that Tailrace raises on purpose."""


class InvalidEvent(TailraceError, ValueError):
    """An event that cannot be written, or would come back as another.

    CR, LF or NUL in `id` or `event`, a blank at either end of `id`, a negative `retry`, a lone surrogate.
    """


class EventTooLarge(TailraceError):
    """A peer's event is over the decoder's bound of `limit` bytes; the decoder is unusable until reset."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"an event of the stream is larger than the limit of {limit} bytes")
        self.limit = limit


class InvalidName(TailraceError, ValueError):
    """A channel or event name outside the alphabet that the contract allows."""


class SettingsError(TailraceError, ValueError):
    """A setting that is unknown, of the wrong type or impossible; the message names file, key and what was expected."""


class MissingExtra(TailraceError, ImportError):
    """`part` was asked for, but the extra that brings its dependencies is not installed."""

    def __init__(self, part: str, extra: str) -> None:
        super().__init__(f"{part} needs the extra '{extra}': pip install 'tailrace[{extra}]'")
        self.part = part
        self.extra = extra


class StoreError(TailraceError):
    """The store refused or lost an operation."""


class StoreUnavailable(StoreError):
    """The store cannot take this now. `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(TailraceError):
    """This process has all the streams or runs (`what`) that it takes on. `retry_after` is in seconds."""

    def __init__(self, what: str, retry_after: float = 5.0) -> None:
        super().__init__(f"this server has all the {what} that it takes on; come again later")
        self.retry_after = retry_after


class LogEnded(StoreError):
    """An append to `logs` that are gone, have their terminal record already, or are of another epoch."""

    def __init__(self, logs: Sequence[str]) -> None:
        more = f" and {len(logs) - _NAMED} more" if len(logs) > _NAMED else ""
        super().__init__(f"gone, ended or of another epoch: {', '.join(logs[:_NAMED])}{more}")
        self.logs = frozenset(logs)


class RunNotFound(TailraceError, LookupError):
    """No such run, or not this caller's. The two look alike on purpose."""

    def __init__(self, run: str) -> None:
        super().__init__("no such run")
        self.run = run


class UnknownModel(TailraceError, LookupError):
    """No route and no provider answers to `model`; `known` lists the names that do."""

    def __init__(self, model: str, known: tuple[str, ...] = ()) -> None:
        names = f"; known: {', '.join(known)}" if known else ""
        super().__init__(f"unknown model {model!r}{names}")
        self.model = model
        self.known = known


class KeyReused(TailraceError):
    """An idempotency key came again with a body other than the one it was first used with."""

    def __init__(self) -> None:
        super().__init__("this idempotency key was used before with another body")


class RequestRefused(TailraceError):
    """The server answered a client's request with an error. `code` is the problem's code, where it sent one."""

    def __init__(self, status: int, code: str, detail: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after


class Unreachable(TailraceError, ConnectionError):
    """No server answered a client's request, in all the attempts it was allowed; the message says what the last met."""


class RunError(TailraceError):
    """Why a run did not finish. `retryable` says whether asking again may help."""

    def __init__(self, type: ErrorType, message: str, *, retryable: bool | None = None) -> None:  # noqa: A002  # the wire's own word
        super().__init__(message)
        self.type = type
        self.message = message
        self.retryable = type in _RETRYABLE if retryable is None else retryable


class ProviderError(RunError):
    """What an upstream did wrong. `status` is its HTTP status, where it gave one.

    `code`, `kind` and `param` are its own words, where it gave any: what the error is called there, as exactly as
    it says, the API's broad type of it, and the field of the request that it is about.
    """

    def __init__(
        self,
        type: ErrorType,  # noqa: A002  # the wire's own word
        message: str,
        *,
        retryable: bool | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        code: str | None = None,
        kind: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(type, message, retryable=retryable)
        self.status = status
        self.retry_after = retry_after
        self.code = code
        self.kind = kind
        self.param = param

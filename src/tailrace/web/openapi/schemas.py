"""The shapes of what is asked and answered: requests as they are read, answers as they are told."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from tailrace.channels.names import RESERVED
from tailrace.chat.ask import Role
from tailrace.errors import ErrorType
from tailrace.runs.states import Status
from tailrace.web.auth import TicketBody
from tailrace.web.bodies import ChatBody, PublishBody, PublishManyBody
from tailrace.web.openapi.parts import Part, form, one_of, ref, some

__all__ = ["CHANNEL", "CURSOR", "KEY", "schemas"]

CHANNEL: Final = {"type": "string", "pattern": r"^(?!\.{1,2}$)[A-Za-z0-9._~:-]{1,128}$"}
"""A channel's name."""
KEY: Final = {"type": "string", "minLength": 1, "maxLength": 256}
"""An idempotency key."""
CURSOR: Final = {"type": "string"}
"""Any text: what is no cursor is answered with a verdict."""

_TEXT: Final = one_of("string")
_WORD: Final = one_of("string", "null")
_WHOLE: Final = {"type": "integer", "minimum": 0}
_NUMBER: Final = one_of("number")
_MOMENT: Final = one_of("number", "null")
_ANYTHING: Final[Part] = {"type": "object"}


def schemas() -> dict[str, Part]:
    """All of them, by name."""
    return {**_asked(), **_TOLD}


def _asked() -> dict[str, Any]:
    types = [ChatBody, PublishBody, PublishManyBody, TicketBody]
    _, read = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    # What is checked when a value is made, no type says.
    message = read["Message"]
    message["description"] = str(message["description"]).partition("\n\n    Raises:")[0].replace("\n    ", "\n")
    message["properties"]["role"] = {"enum": list(get_args(Role))}
    read["ChatBody"]["oneOf"] = _either("message", "messages")
    read["TicketBody"]["oneOf"] = _either("path", "run")
    for body in ("PublishBody", "PublicationBody"):
        read[body]["properties"]["event"] = _EVENT
    read["PublicationBody"]["properties"]["channel"] = CHANNEL
    return read


def _either(*names: str) -> list[Part]:
    """Exactly one of these properties, and not null."""
    return [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names]


_EVENT: Final = {
    "anyOf": [
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            "pattern": r"^[^\r\n\u0000]*$",
            "not": {"enum": sorted(RESERVED)},
        },
        {"type": "null"},
    ],
    "default": None,
}

_USAGE: Final = form({"input_tokens": _WHOLE, "output_tokens": _WHOLE, "estimated": one_of("boolean")}, more=True)
_VERDICT: Final = form(
    {
        "recovered": one_of("boolean"),
        "reason": {"enum": ["ok", "trimmed", "unknown", "ahead", "malformed"]},
        "missed": one_of("integer", "null"),
    }
)
_FAILURE: Final = form({"code": _TEXT, "message": _TEXT})

_TOLD: Final[dict[str, Part]] = {
    "Problem": form(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": _TEXT,
            "detail": _TEXT,
            "events": some(ref("Outcome")),
        },
        "events",
        text="Why a request is refused (RFC 9457). `code` is for programs and stays, `detail` is for people.",
    ),
    "Refusal": {
        "description": "Why a request is refused, in the shape of the API that was asked.",
        "anyOf": [
            form({"error": form({"message": _TEXT, "type": _TEXT, "param": _WORD, "code": _WORD}, more=True)}),
            form({"type": {"const": "error"}, "error": form({"type": _TEXT, "message": _TEXT}, more=True)}, more=True),
        ],
    },
    "Event": form(
        {"data": _TEXT, "event": _TEXT, "id": _TEXT, "retry": _WHOLE},
        *("event", "id", "retry"),
        text="One event of a stream, as the format of Server-Sent Events has it. Its data is JSON, `[DONE]`, or text.",
    ),
    "Run": form(
        {
            "run": _TEXT,
            "status": {"enum": [status.value for status in Status]},
            "model": _TEXT,
            "provider": _TEXT,
            "text": _TEXT,
            "thinking": _TEXT,
            "tools": some(form({"index": _WHOLE, "id": _TEXT, "name": _TEXT, "arguments": _TEXT})),
            "finish_reason": _WORD,
            "usage": {"anyOf": [ref("Usage"), {"type": "null"}]},
            "first_token": _MOMENT,
            "seconds": _MOMENT,
            "attempts": some(ref("Attempt")),
            "error": {"anyOf": [ref("RunError"), {"type": "null"}]},
            "created": _MOMENT,
            "ended": _MOMENT,
        },
        text="The state of an answer. Moments are seconds since 1970.",
    ),
    "Usage": _USAGE,
    "Attempt": form(
        {"provider": _TEXT, "model": _TEXT, "outcome": _TEXT, "seconds": _NUMBER, "waited": _NUMBER}, more=True
    ),
    "RunError": form(
        {"type": {"enum": [each.value for each in ErrorType]}, "message": _TEXT, "retryable": one_of("boolean")},
        more=True,
        text="Why an answer did not finish. The part of the type before the first underscore says who is at fault.",
    ),
    "Cancelled": form({"run": _TEXT, "status": {"enum": [status.value for status in Status]}}),
    "Asked": form({"run": _TEXT, "instance": _TEXT, "status": _TEXT}, "run", "instance"),
    "Published": form({"channel": CHANNEL, "id": _TEXT}),
    "Outcome": {"anyOf": [ref("Published"), form({"channel": _TEXT, "error": _FAILURE})]},
    "PublishedMany": form({"events": some(ref("Outcome"))}),
    "Verdict": _VERDICT,
    "Retained": form(
        {
            "channel": CHANNEL,
            "id": _TEXT,
            "events": some(form({"id": _TEXT, "event": _TEXT, "data": _TEXT, "at": _NUMBER})),
            "resume": ref("Verdict"),
        },
        "resume",
        text="What a channel retains; `id` is the cursor to go on with.",
    ),
    "RetainedMany": form({"id": _TEXT, "channels": {"type": "object", "additionalProperties": ref("Retained")}}),
    "Watching": form({"run": _TEXT, "viewers": _WHOLE}),
    "Viewers": form({"channel": CHANNEL, "viewers": _WHOLE}, more=True),
    "Health": form(
        {
            "status": {"enum": ["healthy", "draining", "degraded"]},
            **dict.fromkeys(("active_streams", "active_runs", "subscribers"), _WHOLE),
            **dict.fromkeys(("total_requests", "failed_requests", "total_tokens"), _WHOLE),
            "uptime_seconds": _NUMBER,
            "memory_mb": _NUMBER,
            "store": {"enum": ["memory", "sqlite", "redis"]},
            "degraded_since": _MOMENT,
            "limits_degraded_since": _MOMENT,
            "pid": _WHOLE,
            "workers": form({"answered": _WHOLE, "of": _WHOLE}),
        },
        "workers",
        more=True,
    ),
    "Probe": form({"status": {"enum": ["live", "ready", "draining"]}}),
    "Ticket": form({"ticket": _TEXT, "expires_in": _WHOLE}),
    "Session": form({"name": _WORD, "scopes": some(_TEXT), "expires": _MOMENT}),
    "Arrived": form({"bytes": _WHOLE}),
    "Model": {
        "description": "A model in OpenAI's shape, or in Anthropic's where the request has an `anthropic-version`.",
        "anyOf": [
            form({"id": _TEXT, "object": {"const": "model"}, "created": _WHOLE, "owned_by": _TEXT}),
            form({"type": {"const": "model"}, "id": _TEXT, "display_name": _TEXT, "created_at": _TEXT}),
        ],
    },
    "Models": {
        "anyOf": [
            form({"object": {"const": "list"}, "data": some(ref("Model"))}),
            form(
                {"data": some(ref("Model")), "has_more": one_of("boolean"), "first_id": _WORD, "last_id": _WORD},
            ),
        ]
    },
    "Foreign": {**_ANYTHING, "description": "As the API says that is spoken here; it is not repeated."},
}

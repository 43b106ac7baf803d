"""What an OpenAPI document is put together from, each as the shortest way to say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = [
    "PROBLEMS",
    "Operation",
    "Part",
    "at_path",
    "form",
    "header",
    "in_query",
    "json",
    "json_body",
    "nothing",
    "one_of",
    "page",
    "ref",
    "refusals",
    "some",
    "stream",
]

Part = dict[str, Any]

_EVERYWHERE: Final = (400, 401, 403, 429, 431, 500, 503)
_WITH_BODY: Final = (408, 413)
_LATER: Final = frozenset({429, 503})

PROBLEMS: Final[Mapping[int, str]] = {
    400: "It is malformed, or for a host that this server is not.",
    401: "A credential is needed, is not believed, or stands in the URL.",
    403: "The credential does not allow this, or a page of another site asks.",
    404: "There is nothing of this name, or nothing of the caller's.",
    406: "This is a stream, and the request accepts none.",
    408: "The request did not arrive in time.",
    413: "The body is larger than `max_body`.",
    422: "It is JSON, or a query, but not what is expected; the detail names the field.",
    426: "This is a WebSocket's: ask to upgrade.",
    429: "The caller is over a limit; `Retry-After` says when to ask again.",
    431: "Request line and headers are larger than 64 KB.",
    499: "The answer was cancelled before it said anything.",
    500: "A fault of this server; its log has it.",
    502: "The provider failed before the answer was begun.",
    503: "Not now; `Retry-After` says when to ask again.",
    504: "The provider said nothing in time.",
}
"""What the statuses of refusals mean, wherever they are met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `answers` are by status; `refusals` are those beside the ones that any request may get.

    `manner` is how they are told: as a `Problem`, a `Refusal` in the shape of another API, or a plain `Sentence`.
    """

    path: str
    method: str
    name: str
    summary: str
    tag: str
    answers: Mapping[int, Part]
    refusals: Sequence[int] = ()
    parameters: Sequence[Part] = ()
    body: Part | None = None
    text: str = ""
    manner: Literal["Problem", "Refusal", "Sentence"] = "Problem"
    open: bool = False  # nobody has to say who they are

    @property
    def statuses(self) -> Sequence[int]:
        """The statuses of its refusals, in order."""
        with_body = _WITH_BODY if self.body is not None else ()
        return sorted({*_EVERYWHERE, *with_body, *self.refusals} - set(self.answers))

    def told(self) -> Part:
        """It as an Operation Object."""
        refusals = {str(status): ref(f"{self.manner}{status}", "responses") for status in self.statuses}
        said: Part = {
            "operationId": self.name,
            "summary": self.summary,
            "tags": [self.tag],
            "responses": {**{str(status): answer for status, answer in self.answers.items()}, **refusals},
        }
        if self.text:
            said["description"] = self.text
        if self.parameters:
            said["parameters"] = list(self.parameters)
        if self.body is not None:
            said["requestBody"] = self.body
        if self.open:
            said["security"] = []
        return said


def refusals() -> dict[str, Part]:
    """The answers that refuse a request, as components by their names."""
    problem = {"application/problem+json": {"schema": ref("Problem")}}
    # Before anything is known of a request, it is refused with a problem, whatever it speaks.
    foreign = {"application/json": {"schema": ref("Refusal")}, **problem}
    plain = {"text/plain": {"schema": {"type": "string"}}, **problem}
    kinds = (("Problem", problem), ("Refusal", foreign), ("Sentence", plain))
    return {f"{kind}{status}": _refusal(status, content) for kind, content in kinds for status in PROBLEMS}


def _refusal(status: int, content: Part) -> Part:
    later = {"headers": {"Retry-After": ref("Retry-After", "headers")}} if status in _LATER else {}
    return {"description": PROBLEMS[status], **later, "content": content}


# Schemas.


def ref(name: str, kind: str = "schemas") -> Part:
    """A component by its name."""
    return {"$ref": f"#/components/{kind}/{name}"}


def one_of(*types: str) -> Part:
    """A value of one of these types."""
    return {"type": list(types) if len(types) > 1 else types[0]}


def some(schema: Part) -> Part:
    """A list of such values."""
    return {"type": "array", "items": schema}


def form(properties: Mapping[str, Part], *optional: str, more: bool = False, text: str = "") -> Part:
    """An object that has all of these properties but the `optional` ones, and no others unless there may be `more`."""
    said: Part = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": more,
    }
    return {**said, "description": text} if text else said


# Answers.


def json(schema: Part, description: str, *headers: str) -> Part:
    """An answer in JSON."""
    return _answer(description, {"application/json": {"schema": schema}}, headers)


def stream(description: str, *headers: str, beside: Part | None = None) -> Part:
    """An event stream; `beside` is the schema of the JSON that may be asked for in its place."""
    content: Part = {"text/event-stream": {"schema": ref("Event")}}
    if beside is not None:
        content["application/json"] = {"schema": beside}
    return _answer(description, content, headers)


def page(kind: str, description: str) -> Part:
    """A file."""
    return _answer(description, {kind: {"schema": {"type": "string"}}}, ())


def nothing(description: str) -> Part:
    """An answer without a body."""
    return {"description": description}


def _answer(description: str, content: Part, headers: Sequence[str]) -> Part:
    named = {name: ref(name, "headers") for name in headers}
    return {"description": description, "content": content, **({"headers": named} if named else {})}


# Requests.


def json_body(schema: Part, *, example: object = None, text: bool = False) -> Part:
    """A body in JSON, or with `text` in plain text as well."""
    media: Part = {"schema": schema} if example is None else {"schema": schema, "example": example}
    plain = {"text/plain": {"schema": {"type": "string"}}} if text else {}
    return {"required": True, "content": {"application/json": media, **plain}}


def at_path(name: str, schema: Part, text: str) -> Part:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": text}


def in_query(name: str, schema: Part, text: str, *, needed: bool = False) -> Part:
    """A field of the query."""
    return {"name": name, "in": "query", "required": needed, "schema": schema, "description": text}


def header(name: str, schema: Part, text: str, *, needed: bool = False) -> Part:
    """A header of the request."""
    return {"name": name, "in": "header", "required": needed, "schema": schema, "description": text}

"""How every dialect's reader begins and ends: an untyped body comes in, a `Request` goes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tailrace.chat.dialects.conversation import Conversation
from tailrace.chat.dialects.fields import object_of
from tailrace.chat.dialects.request import Request

if TYPE_CHECKING:
    from tailrace.chat.ask import Ask

__all__ = ["Reading"]


class Reading:
    """A body that is being read. Its reader takes `fields` and says what it finds to `conversation`.

    Raises:
        BadRequest: the body is no object, or does not say which model is asked, and there is no `default_model`.
    """

    def __init__(self, dialect: str, kind: str, body: object, default_model: str | None = None) -> None:
        self.fields = object_of(body, "", [])
        self.conversation = Conversation(kind)
        self._dialect = dialect
        self._kind = kind
        self._model = (
            self.fields.required("model") if default_model is None else self.fields.text("model") or default_model
        )
        self._stream = self.fields.flag("stream") or False

    def request(self, ask: Ask | None, user: str | None, **more: Any) -> Request:
        """Return what was read, once every field was taken; what nobody took, the dialect's own kind alone knows."""
        self.fields.tie_rest()
        return Request(
            dialect=self._dialect,
            kind=self._kind,
            model=self._model,
            stream=self._stream,
            body=self.fields.whole,
            ask=ask,
            ties=tuple(self.fields.ties),
            user=user or _user_in(self.fields.whole.get("metadata")),
            **more,
        )


def _user_in(metadata: object) -> str | None:
    """Return whom the caller's own notes name, as those of the native endpoint do; no provider is told."""
    user = metadata.get("user") if isinstance(metadata, dict) else None
    return user if isinstance(user, str) and user else None

"""Texts that this server has signed, and knows again: HMAC-SHA256 under the secret of the settings.

A signature is for one purpose: what was signed as a ticket is no session.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from tailrace.access.refusals import CredentialRefused

__all__ = ["Signer"]


class Signer:
    """Signs for one `purpose`. Whoever has the same secret signs alike."""

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._key = hmac.digest(secret, f"tailrace {purpose}".encode(), hashlib.sha256)

    def seal(self, content: bytes) -> str:
        """A text that holds `content` and its signature; it can stand in a URL and in a cookie."""
        body = _encode(content)
        return f"{body}.{self._sign(body)}"

    def open(self, text: str) -> bytes:
        """What a text holds. Raises `CredentialRefused` for one that was not signed here for this purpose."""
        body, _, signature = text.rpartition(".")
        # Texts are compared, not what they decode to: no other spelling of a signature is one.
        if not text.isascii() or not hmac.compare_digest(signature, self._sign(body)):
            raise CredentialRefused("its signature is not this server's")
        try:
            return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except binascii.Error:  # signed, and so ours: we write no such thing
            raise CredentialRefused("it is not whole") from None

    def _sign(self, body: str) -> str:
        return _encode(hmac.digest(self._key, body.encode(), hashlib.sha256))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

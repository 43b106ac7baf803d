"""What a URL in the settings may be."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["is_http"]


def is_http(text: str) -> bool:
    """Return whether `text` is a URL of HTTP to which a path can be added, and in which there is no secret."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    # A user and password would be a secret in the open; a query or fragment cannot be extended by a path.
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not set(text) & set("@?# ")

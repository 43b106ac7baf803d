"""Content parts: text and images in the form of each API, whichever of them they were given in.

Parts tell by their `type` what they are, and the APIs share no `type` for different things. A part of
another kind (a file, a sound, a block of one API alone) passes through as it is: only its provider can
judge it.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["to_anthropic", "to_openai", "to_responses"]

Part = dict[str, Any]

_TEXTS = frozenset({"text", "input_text", "output_text"})
_DATA_URL = re.compile(r"data:([\w.+/-]+);base64,", re.ASCII | re.IGNORECASE)


def to_openai(part: Part) -> Part:
    """Write `part` as chat.completions has it."""
    if part.get("type") == "text":
        return part
    if (text := _text(part)) is not None:
        return {"type": "text", "text": text}
    image = _image(part)
    if image is None or part["type"] == "image_url":
        return part
    url, detail = image
    return {"type": "image_url", "image_url": {"url": url} | ({"detail": detail} if detail else {})}


def to_responses(part: Part, *, said: bool = False) -> Part:
    """Write `part` as Responses has it; `said` where it is the assistant's."""
    if (text := _text(part)) is not None:
        return {"type": "output_text" if said else "input_text", "text": text}
    image = _image(part)
    if image is None:
        return part
    url, detail = image
    return {"type": "input_image", "image_url": url, "detail": detail or "auto"}


def to_anthropic(part: Part) -> Part:
    """Write `part` as Messages has it."""
    if part.get("type") in ("text", "image"):
        return part
    if (text := _text(part)) is not None:
        return {"type": "text", "text": text}
    image = _image(part)
    return part if image is None else {"type": "image", "source": _source(image[0])}


def _text(part: Part) -> str | None:
    """Return the text of a part that is nothing else; a refusal in an earlier turn is text to all but its own API."""
    kind = part.get("type")
    text = part.get("text") if kind in _TEXTS else part.get("refusal") if kind == "refusal" else None
    return text if isinstance(text, str) else None


def _image(part: Part) -> tuple[str, str | None] | None:
    """Return an image's URL, which may hold the image itself, and how closely to look at it; None for another part."""
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)} as image}:
            return url, image.get("detail")
        case {"type": "input_image", "image_url": str(url)}:
            return url, part.get("detail")
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            return url, None
        case {"type": "image", "source": {"type": "base64", "media_type": str(media), "data": str(data)}}:
            return f"data:{media};base64,{data}", None
    return None


def _source(url: str) -> dict[str, str]:
    embedded = _DATA_URL.match(url)
    if embedded is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": embedded[1], "data": url[embedded.end() :]}

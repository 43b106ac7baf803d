"""The kinds of provider as settings name them, so that what each can say is said by name."""

from __future__ import annotations

from typing import Final

__all__ = ["ANTHROPIC", "CHAT", "RESPONSES"]

CHAT: Final = "openai"
RESPONSES: Final = "openai-responses"
ANTHROPIC: Final = "anthropic"

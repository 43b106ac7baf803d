"""The dialect `ai-sdk`: the Vercel AI SDK's UI message stream, version 1, as `useChat` sends and reads it."""

from __future__ import annotations

from tailrace.chat.dialects.ai_sdk.reader import NAME, read
from tailrace.chat.dialects.ai_sdk.writer import UiWriter, head, retold
from tailrace.chat.dialects.writing import Spoken

__all__ = ["AI_SDK", "retold"]

AI_SDK = Spoken(name=NAME, kind=NAME, read=read, head=head, writer=UiWriter)

"""Channels and answers over a WebSocket (`/ws`): the same logs, cursors, rights and limits as over HTTP."""

from __future__ import annotations

from tailrace.web.websocket.endpoint import WebSockets

__all__ = ["WebSockets"]

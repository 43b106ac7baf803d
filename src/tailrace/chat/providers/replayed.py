"""Reasoning that comes back with a later turn, and that its API cannot have said itself.

A conversation may change its provider from turn to turn: another arm, a fallback, a route that was changed. What
another API's model thought was told to the client in this API's form, and the client says it again, as both SDKs
have it. But each API takes only its own thoughts, which it knows by a signature or an id, and refuses the request
for others. They are of no use to it, so they are left out. What it said itself goes back as it came.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["without_foreign_items", "without_foreign_thoughts"]

_OUR_REASONING = re.compile(r"rs_[0-9A-Za-z]{22}_[0-9]+", re.ASCII)
"""The id of a reasoning item that was written here: its run's, and its place. OpenAI's have no second underscore."""


def without_foreign_thoughts(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Messages body without thinking that has no signature, and without messages that were nothing else."""
    return {**body, "messages": [kept for message in body["messages"] for kept in _kept(message)]}


def _kept(message: dict[str, Any]) -> Sequence[dict[str, Any]]:
    content = message["content"]
    if message["role"] != "assistant" or isinstance(content, str):
        return (message,)
    blocks = [block for block in content if not _is_unsigned(block)]
    if len(blocks) == len(content):
        return (message,)
    return ({**message, "content": blocks},) if blocks else ()


def _is_unsigned(block: dict[str, Any]) -> bool:
    return block["type"] == "thinking" and not block.get("signature")


def without_foreign_items(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Responses body without reasoning items that were written here."""
    given = body.get("input")
    if not isinstance(given, list):
        return dict(body)
    return {**body, "input": [item for item in given if not _is_ours(item)]}


def _is_ours(item: dict[str, Any]) -> bool:
    name = item.get("id")
    return (
        item.get("type") == "reasoning"
        and not item.get("encrypted_content")
        and isinstance(name, str)
        and _OUR_REASONING.fullmatch(name) is not None
    )

"""What a run cost so far: the provider's own figures, else an estimate from what was said."""

from __future__ import annotations

from tailrace.runs.deltas import Usage

__all__ = ["PARTS", "Tally", "size"]

PARTS = ("cached_input_tokens", "cache_creation_input_tokens", "reasoning_tokens")
"""Counts of `Usage` that are parts of the others."""

_BYTES_PER_TOKEN = 4


class Tally:
    """Tokens of one run. `prompt_bytes` is the question's size in UTF-8."""

    __slots__ = ("_prompt_bytes", "_usage", "said")

    def __init__(self, prompt_bytes: int) -> None:
        self._prompt_bytes = prompt_bytes
        self.said = 0
        """Bytes of text, reasoning and arguments of tools, in UTF-8."""
        self._usage = Usage()

    def hear(self, text: str) -> None:
        """Count what was said."""
        self.said += size(text)

    def merge(self, usage: Usage) -> None:
        """Take what a provider says; each figure that it gives stands until it gives another."""
        self._usage = self._usage.updated(usage)

    def reset(self) -> None:
        """Begin anew: what was said is void, and what it cost is told by nobody."""
        self.said = 0
        self._usage = Usage()

    @property
    def certain(self) -> int:
        """Tokens so far that nobody will take back: those of the question only where the provider has told them."""
        known = self._usage
        said = _tokens(self.said) if known.output_tokens is None else known.output_tokens
        return (known.input_tokens or 0) + said

    def usage(self) -> dict[str, int | bool]:
        """Tokens so far, as they are told: the parts of them only where they are known."""
        known = self._usage
        given = known.input_tokens, known.output_tokens
        estimate = _tokens(self._prompt_bytes), _tokens(self.said)
        told: dict[str, int | bool] = {
            "input_tokens": estimate[0] if given[0] is None else given[0],
            "output_tokens": estimate[1] if given[1] is None else given[1],
            "estimated": None in given,
        }
        for part in PARTS:
            count = getattr(known, part)
            if count is not None:
                told[part] = count
        return told


def size(text: str) -> int:
    """Bytes in UTF-8; half of a surrogate pair counts as what stands for it."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)

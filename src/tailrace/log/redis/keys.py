"""The names of what is in Redis, all under one prefix.

What stands in braces is what Redis Cluster places a key by: all keys of a log share a slot, so a script can touch
them at once, and the log's channel of messages is on the same server.
"""

from __future__ import annotations

from urllib.parse import quote

__all__ = ["Keys"]


class Keys:
    """The names under a prefix."""

    __slots__ = ("_prefix", "beats", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._prefix = f"{prefix}:{{"
        self.beats = f"{prefix}:{{fleet}}:beats"

    def log(self, log: str) -> tuple[str, str, str, str]:
        """A log's state, its records, the operations it remembers, and the channel that tells of it."""
        channel = f"{self._prefix}{log}}}"
        return f"{channel}:head", f"{channel}:records", f"{channel}:operations", channel

    def channel(self, log: str) -> str:
        """The channel that tells of a log."""
        return f"{self._prefix}{log}}}"

    def log_of(self, channel: str) -> str:
        """The log that a channel tells of."""
        return channel[len(self._prefix) : -1]

    def watchers(self, log: str) -> str:
        """The instances that somebody reads a log on."""
        return f"{self._prefix}{log}}}:watchers"

    def viewers(self, log: str) -> str:
        """Who reads a log, as each instance says."""
        return f"{self._prefix}{log}}}:viewers"

    def name(self, name: str) -> str:
        """A name that is taken once."""
        # Names are made of what callers say: escaped, no blank, quote or brace of theirs is in a key.
        return f"{self._prefix}name:{quote(name, safe=':', errors='surrogatepass')}}}"

    def quota(self, caller: str) -> str:
        """What a caller has used."""
        return f"{self._prefix}quota:{quote(caller, safe=':', errors='surrogatepass')}}}"

    def mail(self, instance: str) -> str:
        """The letters for an instance."""
        return f"{self._prefix}fleet}}:mail:{instance}"

    def logs(self, instance: str) -> str:
        """What an instance has created and not ended."""
        return f"{self._prefix}fleet}}:runs:{instance}"

    def wake(self, instance: str) -> str:
        """The channel that wakes an instance."""
        return f"{self._prefix}fleet}}:wake:{instance}"

"""The store in one file: for one process on one machine, and it survives that process.

`file` opens it, `transaction` writes to it and `queries` reads from it (both plain functions of a
connection), `worker` is the thread that each of the two has, `committer` makes many writes one commit,
`sweep` lets go of what is past its keeping. `store` is what the floors above see of all that.

SQLite runs with a write-ahead log and `synchronous=FULL`: what was acknowledged survives the process,
and the machine's power too, as far as its disk tells the truth about what it has written.
"""

from __future__ import annotations

from tailrace.log.sqlite.coordination import SqliteCoordination
from tailrace.log.sqlite.file import Ending
from tailrace.log.sqlite.store import SqliteStore

__all__ = ["Ending", "SqliteCoordination", "SqliteStore"]

"""The store in Redis (or Valkey), for a fleet: every instance sees the same logs.

`servers` and what stands behind it is how Redis is reached, `listener` hears the messages. `calls` makes many calls
one pipeline, `scripts` (with `lua/`) is what Redis does in one step, `logs` is what can be done to a log, `following`
who is told of it here, `names` and `fleet` what instances share beside the logs. `store` is what the floors above
see of all that.

Redis acknowledges what it has in memory: what survives its restart, or a failover, is for its own configuration to
say. What was lost shows as another epoch of a channel, and a run that lost something ends as interrupted.
"""

from __future__ import annotations

from tailrace.log.redis.fleet import RedisFleet
from tailrace.log.redis.names import RedisCoordination
from tailrace.log.redis.store import RedisStore

__all__ = ["RedisCoordination", "RedisFleet", "RedisStore"]

-- A channel's state, as `look` says it, and behind that what its events come to; begun where it is not there.
-- ARGV: an epoch to begin it with, milliseconds that it lives from now on.
if redis.call('EXISTS', head) == 0 then
  begin(ARGV[1])
end
live(ARGV[2])
local state = look()
state[9] = redis.call('HGET', head, 'state')
return state

-- Begins a run's log with its first records, in the place of one that may be there.
-- ARGV: epoch, meta, milliseconds to live, records...
-- A repeat finds the log and leaves it alone, since its producer may have gone on.
local epoch, meta, alive = ARGV[1], ARGV[2], ARGV[3]
local state = redis.call('HMGET', head, 'epoch', 'produced')
if state[1] == epoch and state[2] then
  return
end
begin(epoch)
local held = #ARGV > 3 and add('=', epoch, 1, 4) or 0
redis.call('HSET', head, 'meta', meta, 'produced', 1, 'last', #ARGV - 3, 'held', held)
redis.call('PEXPIRE', head, alive)
if #ARGV > 3 then
  redis.call('PEXPIRE', records, alive)
end

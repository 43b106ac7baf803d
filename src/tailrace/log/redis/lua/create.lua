-- Begins a run's log with its first records, in the place of one that may be there.
-- ARGV: epoch, meta, milliseconds to live, records...
-- A repeat finds the log and leaves it alone, since its producer may have gone on.
local epoch, meta, alive = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', head, 'epoch') == epoch then
  return
end
begin(epoch)
redis.call('HSET', head, 'meta', meta, 'produced', 1, 'last', #ARGV - 3)
redis.call('PEXPIRE', head, alive)
if #ARGV > 3 then
  add('=', epoch, 1, 4)
  redis.call('PEXPIRE', records, alive)
end

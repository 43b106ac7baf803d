-- Ends a log in its producer's stead; 1 if it was this call that did.
-- ARGV: epoch, who seals, milliseconds to keep it, offset of the first record, 'begin' if a log that is gone is to
-- be begun again with nothing but its end, its meta then, records...
-- Who ends a log, and that nobody has yet, is decided here alone. A repeat knows itself by who sealed.
local epoch, sealer, keep, first, again, meta = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local state = redis.call('HMGET', head, 'epoch', 'last', 'ended', 'sealer')
if not state[1] and again == 'begin' then
  begin(epoch)
  redis.call('HSET', head, 'meta', meta, 'produced', 1)
  state = {epoch, 0}
end
if state[1] ~= epoch or state[3] then
  return state[1] == epoch and state[4] == sealer and 1 or 0
end
local said = tonumber(state[2])
redis.call('HINCRBY', head, 'held', add('.', epoch, first, 7))
redis.call('HSET', head, 'ended', 1, 'said', said, 'sealer', sealer, 'last', first + #ARGV - 7)
redis.call('PEXPIRE', head, keep)
redis.call('PEXPIRE', records, keep)
return 1

-- Appends to a channel, beginning it if need be; its epoch, and the offset of the last record.
-- ARGV: operation, a fresh epoch, the epoch and the newest offset that the publisher knows of, how many records to
-- keep and how much they may weigh (0: all), milliseconds to keep them, milliseconds to keep the rest, the version of
-- the state that the new one was made of ('*': of none, '': the state stays), the new state, milliseconds to keep that, records...
-- An operation that was done answers as before. A history that ends before what somebody was shown has lost
-- something: it goes on as another epoch, else an offset would come to mean two things.
local operation, fresh, known, seen = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local kept, most, age, alive = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], ARGV[8]
local version, state, lasting = ARGV[9], ARGV[10], ARGV[11]
local epoch, last, held, folded = unpack(redis.call('HMGET', head, 'epoch', 'last', 'held', 'folded'))
local done = epoch and redis.call('ZSCORE', operations, operation)
-- The state was made elsewhere, of one that is not the state any more: whoever made it looks again, and nothing is done.
if version ~= '' and version ~= '*' and not done and version ~= (epoch or '') .. '-' .. (folded or '') then
  return false
end
if not epoch then
  epoch, last = fresh, 0
  begin(epoch)
elseif epoch == known and tonumber(last) < seen then
  epoch = fresh
  rename(epoch)
end
if done then
  return {epoch, tonumber(done)}
end
local count = redis.call('XLEN', records)
held = count > 0 and tonumber(held) or 0 -- nothing is, once the records have expired
local first = last + 1
last = last + #ARGV - 11
held = held + add('+', epoch, first, 12)
if version ~= '' then
  redis.call('HSET', head, 'last', last, 'state', state, 'folded', last)
  live(lasting)
else
  redis.call('HSET', head, 'last', last)
end
count = count + #ARGV - 11
redis.call('ZADD', operations, last, operation)

-- Only when there is a sixteenth too much: then all of that, as a look at each costs as much as the rest of a call.
local full = (kept > 0 and count > kept + math.floor(kept / 16)) or (most > 0 and held > most + most / 16)

-- How many of the oldest there are too many, about: by bytes, as many as would be if all weighed the same.
local function surplus()
  local by_count = kept > 0 and count - kept or 0
  local by_weight = most > 0 and math.ceil((held - most) / held * count) or 0
  return math.min(math.max(by_count, by_weight), count - 1)
end

-- Few are looked at in one go: their text is copied for it.
local oldest
repeat
  local looked = full and surplus() > 0 and redis.call('XRANGE', records, oldest or '-', '+', 'COUNT', math.min(surplus(), 16))
  for _, entry in ipairs(looked or {}) do
    if surplus() <= 0 then
      break
    end
    held, count = held - weight(entry[2][2]), count - 1
    oldest = (tonumber(entry[1]:match('%d+')) + 1) .. '-0'
  end
until not looked or #looked == 0
if oldest then
  redis.call('XTRIM', records, 'MINID', oldest)
end
redis.call('HSET', head, 'held', held)
redis.call('ZREMRANGEBYSCORE', operations, '-inf', last - (kept > 0 and kept or 1000))
redis.call('PEXPIRE', records, age)
redis.call('PEXPIRE', operations, age)
live(alive)
return {epoch, last}

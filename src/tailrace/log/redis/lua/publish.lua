-- Appends to a channel, beginning it if need be; its epoch, and the offset of the last record.
-- ARGV: operation, a fresh epoch, the epoch and the newest offset that the publisher knows of, how many records to
-- keep (0: all), milliseconds to keep them, milliseconds to keep the rest, records...
-- An operation that was done answers as before. A history that ends before what somebody was shown has lost
-- something: it goes on as another epoch, else an offset would come to mean two things.
local operation, fresh, known, seen = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local kept, age, alive = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local epoch, last = unpack(redis.call('HMGET', head, 'epoch', 'last'))
if not epoch then
  epoch, last = fresh, 0
  begin(epoch)
elseif epoch == known and tonumber(last) < seen then
  epoch = fresh
  rename(epoch)
end
local done = redis.call('ZSCORE', operations, operation)
if done then
  return {epoch, tonumber(done)}
end
local first = last + 1
last = last + #ARGV - 7
add('+', epoch, first, 8)
redis.call('HSET', head, 'last', last)
redis.call('ZADD', operations, last, operation)
if kept > 0 then
  redis.call('XTRIM', records, 'MAXLEN', kept)
end
redis.call('ZREMRANGEBYSCORE', operations, '-inf', last - (kept > 0 and kept or 1000))
redis.call('PEXPIRE', records, age)
redis.call('PEXPIRE', operations, age)
redis.call('PEXPIRE', head, alive)
return {epoch, last}

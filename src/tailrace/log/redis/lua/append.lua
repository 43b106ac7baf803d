-- Appends what a run's producer says; 1 if the log has it now, 0 if it takes it no more.
-- ARGV: epoch, offset of the first record, '1' if the last one ends the log, milliseconds to keep it then,
-- milliseconds to live until then, records...
-- A repeat passes over what is there. A log that somebody else has sealed remembers up to where its producer
-- had come: that much may be repeated, all else is refused, though its offsets are below the end.
local epoch, first, ends, keep, alive = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4], ARGV[5]
local state = redis.call('HMGET', head, 'epoch', 'last', 'ended', 'said', 'held')
if state[1] ~= epoch then
  return 0
end
local said = tonumber(state[4] or state[2])
local final = first + #ARGV - 6
if final <= said then
  return 1
end
if state[3] or first > said + 1 then
  return 0
end
local held = (tonumber(state[5]) or 0) + add(ends and '.' or '=', epoch, said + 1, 6 + said + 1 - first)
redis.call('HSET', head, 'last', final, 'held', held)
if ends then
  redis.call('HSET', head, 'ended', 1)
  redis.call('PEXPIRE', head, keep)
  redis.call('PEXPIRE', records, keep)
elseif said == 0 or redis.call('PTTL', head) < alive / 2 then
  redis.call('PEXPIRE', head, alive)
  redis.call('PEXPIRE', records, alive)
end
return 1

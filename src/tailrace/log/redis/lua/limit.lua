-- Judges what an instance asks for one caller, and notes what it says of it: all in one hash, which expires.
-- KEYS: the caller's. ARGV: instance, number, its streams, whether one more is wanted (0, 1), how many there may be in
-- all (-1: any), seconds that this counts for; the bucket that a request fills ('': none is asked for), by how many
-- seconds, and how full it may be then; by how many tokens have filled theirs, and how full that may be (-1: any).
-- A bucket is the moment at which it is empty again, by this server's clock; an instance's field is
-- 'number streams until over'. A claim that comes twice is answered as before and changes nothing; one that others of
-- its instance have overtaken is judged, but takes nothing.
local key, instance, number = KEYS[1], 'at:' .. ARGV[1], tonumber(ARGV[2])
local streams, wanted, most, lease = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local bucket, cost, window = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9])
local spent, budget = tonumber(ARGV[10]), tonumber(ARGV[11])

-- A server that took over may have another clock; and no debt is for ever.
local LONGEST = 3600
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local state, others, last, said = {}, 0, 0, 0
local keep = 0

local entries = redis.call('HGETALL', key)
for i = 1, #entries, 2 do
  local name, value = entries[i], entries[i + 1]
  if string.sub(name, 1, 3) == 'at:' then
    local n, s, till, o = string.match(value, '^(%S+) (%S+) (%S+) (%S+)$')
    local left = tonumber(till) - now
    if left <= 0 or left > LONGEST then
      redis.call('HDEL', key, name)
    elseif name == instance then
      last, said = tonumber(n), tonumber(o)
    else
      others = others + tonumber(s)
      keep = math.max(keep, left)
    end
  else
    state[name] = tonumber(value)
  end
end

local function full(name, bound)
  return math.min(math.max((state[name] or 0) - now, 0), bound)
end

local tokens = full('tokens', LONGEST)
local used = bucket ~= '' and full(bucket, window) or 0
if number > last then
  tokens = math.min(math.max(tokens + spent, 0), LONGEST)
end

local over = 0
if bucket ~= '' then
  if cost > 0 and used + cost > window + 0.000001 then over = over + 1 end
  if budget >= 0 and tokens > budget + 0.000001 then over = over + 2 end
  if wanted == 1 and most >= 0 and others + streams + 1 > most then over = over + 4 end
end
if number == last then over = said end

if number > last then
  if bucket ~= '' and over == 0 then
    used = used + cost
    streams = streams + wanted
  end
  redis.call('HSET', key, instance, string.format('%.0f %.0f %.6f %d', number, streams, now + lease, over))
  keep = math.max(keep, lease)
  if bucket ~= '' and used > 0 then redis.call('HSET', key, bucket, string.format('%.6f', now + used)) end
  if tokens > 0 then redis.call('HSET', key, 'tokens', string.format('%.6f', now + tokens)) end
  if tokens == 0 and state['tokens'] then redis.call('HDEL', key, 'tokens') end
  for name, _ in pairs(state) do
    if name ~= bucket then keep = math.max(keep, full(name, LONGEST)) end
  end
  redis.call('PEXPIRE', key, math.ceil(math.max(keep, used, tokens) * 1000) + 1000)
end
return {over, math.floor(used * 1000000), math.floor(tokens * 1000000), others + streams}

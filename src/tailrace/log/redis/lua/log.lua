-- What the scripts of one log share; each of them follows this text.
-- Offsets are Lua numbers, which `..` writes exactly up to 10^14.
local head, records, operations, channel = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- Gives ARGV[from] and all after it the offsets from `first` on, and tells followers of them in one message.
local function add(mark, epoch, first, from)
  local told = {mark .. epoch .. ' ' .. first .. '\n'}
  for i = from, #ARGV do
    local record = ARGV[i]
    redis.call('XADD', records, (first + i - from) .. '-0', 'r', record)
    told[#told + 1] = #record .. ':' .. record
  end
  redis.call('PUBLISH', channel, table.concat(told))
end

-- Begins an empty channel. Whatever an older history has left is gone.
local function begin(epoch)
  redis.call('UNLINK', head, records, operations)
  redis.call('HSET', head, 'epoch', epoch, 'last', 0)
end

-- Has a channel go on under another name of its epoch, and says so.
local function rename(epoch)
  redis.call('HSET', head, 'epoch', epoch)
  redis.call('PUBLISH', channel, '!' .. epoch .. ' 0\n')
end

-- What readers get to know of a log; nothing where it is not there.
local function look()
  local state = redis.call('HMGET', head, 'epoch', 'last', 'meta', 'ended', 'produced')
  if not state[1] then
    return false
  end
  local oldest = redis.call('XRANGE', records, '-', '+', 'COUNT', 1)[1]
  state[6] = oldest and oldest[1] or (state[2] + 1) .. '-0'
  return state
end

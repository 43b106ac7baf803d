-- What the scripts of one log share; each of them follows this text.
-- Offsets are Lua numbers, which `..` writes exactly up to 10^14.
local head, records, operations, channel = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- What a record counts for in bounds by bytes: many tiny ones must count too.
local function weight(record)
  return #record + 64
end

-- Tells followers of ARGV[from] and all after it, which are to have the offsets from `first` on, in one message.
-- Before these are there: what a script has done when it fails stays done, and it may lack the right to a channel. The
-- write that changes nothing fails before that where nothing can be written. Nobody reads before a script is through.
local function tell(mark, epoch, first, from)
  redis.call('HSET', head, 'epoch', epoch)
  local told = {mark .. epoch .. ' ' .. first .. '\n'}
  for i = from, #ARGV do
    told[#told + 1] = #ARGV[i] .. ':' .. ARGV[i]
  end
  redis.call('PUBLISH', channel, table.concat(told))
end

-- Tells of ARGV[from] and all after it, and gives them the offsets from `first` on; what they weigh.
local function add(mark, epoch, first, from)
  tell(mark, epoch, first, from)
  local weighed = 0
  for i = from, #ARGV do
    redis.call('XADD', records, (first + i - from) .. '-0', 'r', ARGV[i])
    weighed = weighed + weight(ARGV[i])
  end
  return weighed
end

-- Has a channel live for so many milliseconds from now on; longer where it was to, for the sake of its state.
local function live(milliseconds)
  if redis.call('PTTL', head) < tonumber(milliseconds) then
    redis.call('PEXPIRE', head, milliseconds)
  end
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

-- What readers get to know of a log, with what its records weigh (`held`), its oldest and how many there are;
-- nothing where it is not there.
local function look()
  local state = redis.call('HMGET', head, 'epoch', 'last', 'meta', 'ended', 'produced', 'held')
  if not state[1] then
    return false
  end
  local oldest = redis.call('XRANGE', records, '-', '+', 'COUNT', 1)[1]
  state[7] = oldest and oldest[1] or (state[2] + 1) .. '-0'
  state[8] = redis.call('XLEN', records)
  return state
end

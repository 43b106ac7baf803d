-- Takes a name unless it is taken; what stands. KEYS: the name's. ARGV: value, milliseconds.
local taken = redis.call('GET', KEYS[1])
if not taken then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return taken or ARGV[1]

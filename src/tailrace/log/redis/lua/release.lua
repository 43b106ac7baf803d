-- Gives a name up if it still stands for what is given. KEYS: the name's. ARGV: value.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end

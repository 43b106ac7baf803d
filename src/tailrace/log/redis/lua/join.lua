-- Adds to a set that is kept for a while from now. KEYS: the set. ARGV: milliseconds, members...
for i = 2, #ARGV do
  redis.call('SADD', KEYS[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])

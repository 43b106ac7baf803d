-- An instance's sign of life; everybody's, and the letters that came for it.
-- KEYS: beats, its mail, its logs. ARGV: its name, its beat, milliseconds to keep the beats and the logs, then the ids
-- of letters that it has read. What is read is deleted at the next beat, so that no lost reply loses a letter.
local beats, mail, logs = KEYS[1], KEYS[2], KEYS[3]
redis.call('HSET', beats, ARGV[1], ARGV[2])
redis.call('PEXPIRE', beats, ARGV[3])
redis.call('PEXPIRE', logs, ARGV[3])
for i = 4, #ARGV do
  redis.call('HDEL', mail, ARGV[i])
end
return {redis.call('HGETALL', beats), redis.call('HGETALL', mail)}

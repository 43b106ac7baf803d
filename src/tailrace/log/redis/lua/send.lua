-- Leaves a letter and wakes whom it is for. KEYS: the mail, the wake channel. ARGV: the letter's id, the letter,
-- milliseconds to keep it. Repeated, it is the same letter.
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PUBLISH', KEYS[2], '')

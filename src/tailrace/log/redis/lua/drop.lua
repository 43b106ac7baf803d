-- Deletes a channel's history; its state then. ARGV: the epoch that is to end ('': there is none yet), a fresh epoch,
-- milliseconds to live.
-- A repeat finds that the epoch has ended, and leaves alone what may have been published since.
if (redis.call('HGET', head, 'epoch') or '') == ARGV[1] then
  begin(ARGV[2])
  rename(ARGV[2])
  redis.call('PEXPIRE', head, ARGV[3])
end
return look()

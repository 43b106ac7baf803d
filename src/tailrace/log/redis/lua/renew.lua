-- Has a channel go on as another epoch, if it lacks what was shown of the one it has; its state then.
-- ARGV: the epoch that was shown, the offset that was shown ('': what stands there was found to be another),
-- a fresh epoch. Compared here, so that of all who notice one gives the name. A run has no other epoch.
local epoch, last, produced = unpack(redis.call('HMGET', head, 'epoch', 'last', 'produced'))
if epoch == ARGV[1] and not produced and tonumber(last) < (tonumber(ARGV[2]) or math.huge) then
  rename(ARGV[3])
end
return look()

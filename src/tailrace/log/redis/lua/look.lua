-- A log's state at one moment. ARGV: an epoch to begin a channel with that is not there ('': begin none),
-- milliseconds that a channel lives from now on ('0': as it is).
if ARGV[1] ~= '' and redis.call('EXISTS', head) == 0 then
  begin(ARGV[1])
end
if ARGV[2] ~= '0' and redis.call('HEXISTS', head, 'produced') == 0 then
  live(ARGV[2])
end
return look()

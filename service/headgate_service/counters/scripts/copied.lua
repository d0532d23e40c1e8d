-- Ends a copy that is committed: its mark goes, and fields that are over go where they are as they were copied.
-- KEYS 1 T:changed  2 P:use
-- ARGV 1 project  2 ms at which the counters were read  3 ms at which it is to be copied again in any case, or 0
--      then the fields that are over, each with its value
-- Run again, it changes nothing more.
-- A full memory refuses some of what follows, but not once the script has run a command that writes, whatever came of it.
redis.call('PERSIST', KEYS[2])
for i = 4, #ARGV, 2 do
  if redis.call('HGET', KEYS[2], ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local marked = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if marked < tonumber(ARGV[2]) or marked > now then
  if ARGV[3] == '0' then
    redis.call('ZREM', KEYS[1], ARGV[1])
  else
    redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
  end
end
return 1

-- Ends a copy of projects of one shard that is committed: their marks go, and fields that are over go where they are as
-- they were copied.
-- KEYS 1 T:changed   then P:use of each project
-- ARGV per project: its id, ms at which the counters were read, ms at which it is to be copied again in any case, or 0,
--      how many fields are over, and those, each with its value
-- Run again, it changes nothing more.
-- A full memory refuses some of what follows, but not once the script has run a command that writes, whatever came of it.
redis.call('PERSIST', KEYS[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local at = 1
for i = 2, #KEYS do
  local project, read_ms, due, over = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  for _ = 1, over do
    if redis.call('HGET', KEYS[i], ARGV[at]) == ARGV[at + 1] then
      redis.call('HDEL', KEYS[i], ARGV[at])
    end
    at = at + 2
  end
  local marked = tonumber(redis.call('ZSCORE', KEYS[1], project) or 0)
  if marked < read_ms or marked > now then
    if due == '0' then
      redis.call('ZREM', KEYS[1], project)
    else
      redis.call('ZADD', KEYS[1], due, project)
    end
  end
end
return 1

-- Takes projects with news from a shard's ready set, and marks them for the next copy of their counters. Read past their cursors after this, never before.
-- KEYS 1 T:lease  2 T:ready  3 T:changed   ARGV 1 token  2 count   Returns project ids. Errors: FENCED
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is another one')
end
local popped = redis.call('ZPOPMIN', KEYS[2], ARGV[2])
local time = redis.call('TIME')
local now = string.format('%d', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local projects = {}
for i = 1, #popped, 2 do
  projects[#projects + 1] = popped[i]
  redis.call('ZADD', KEYS[3], now, popped[i])
end
return projects

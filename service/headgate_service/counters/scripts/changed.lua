-- Names the projects of a shard whose counters changed since they were copied, or that have hours to move.
-- KEYS 1 T:epoch  2 T:ready  3 T:changed   ARGV 1 the epoch's name
-- Returns {project, ...}, some perhaps twice; nil where the epoch is another one.
-- An append marks nothing here: the ready set names its project, until a forwarder takes it from there and marks it.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local projects = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', string.format('%d', now))
for _, project in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  projects[#projects + 1] = project
end
return projects

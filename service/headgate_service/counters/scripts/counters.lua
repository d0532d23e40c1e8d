-- Reads all counters of a project as of one moment.
-- KEYS 1 T:epoch  2 P:use  3 P:cur   ARGV 1 the epoch's name
-- Returns {ms, {field, value, ...} of P:use, the same of P:cur}; nil where the epoch is another one.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return {now, redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3])}

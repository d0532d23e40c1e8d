-- Reads all counters of projects of one shard as of one moment.
-- KEYS 1 T:epoch   then P:use and P:cur of each project   ARGV 1 the epoch's name
-- Returns {ms, then of each project {{field, value, ...} of P:use, the same of P:cur}}; nil where the epoch is another one.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return false
end
local time = redis.call('TIME')
local answer = {tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)}
for i = 2, #KEYS, 2 do
  answer[#answer + 1] = {redis.call('HGETALL', KEYS[i]), redis.call('HGETALL', KEYS[i + 1])}
end
return answer

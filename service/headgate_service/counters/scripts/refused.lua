-- Counts refused events in a project's hourly ledger, and marks the project for the next copy of its counters.
-- KEYS 1 T:epoch  2 T:changed  3 P:use   ARGV 1 the epoch's name  2 project  3 field  4 events
-- Returns 1; 0 where the epoch is another one: what is not put back yet must not be counted on.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('HINCRBY', KEYS[3], ARGV[3], ARGV[4])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], string.format('%d', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)), ARGV[2])
return 1

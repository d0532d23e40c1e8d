-- Skips the ordinals of events that were acknowledged and that this Redis does not hold: it is a replica that lagged when
-- it became the primary, or was set back. The events stay accepted in the ledger; sinks that did not get them find the gap.
-- KEYS 1 T:epoch  2 P:use  3 T:ready  4 T:changed  5 T:projects
-- ARGV 1 name of the epoch  2 project  3 its accepted events as acknowledged  4 month field  5 next month field
--      6 first ms of the next month  7 ready channel  8 tag
-- Returns how many events are lost. Errors: EPOCH
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('EPOCH the counters are not those that the control DB knows')
end
local lost = tonumber(ARGV[3]) - tonumber(redis.call('HGET', KEYS[2], 'seq') or 0)
if lost <= 0 then
  return 0
end
-- A full memory refuses some of what follows, but not once the script has run a command that writes.
redis.call('PERSIST', KEYS[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local count, ms = string.format('%d', lost), string.format('%d', now)
redis.call('HSET', KEYS[2], 'seq', ARGV[3], 'lost_ms', ms)
redis.call('HINCRBY', KEYS[2], 'lost', count)
redis.call('HINCRBY', KEYS[2], now >= tonumber(ARGV[6]) and ARGV[5] or ARGV[4], count)
redis.call('HINCRBY', KEYS[2], string.format('h:%d:accepted', math.floor(now / 3600000)), count)
redis.call('SADD', KEYS[5], ARGV[2])
redis.call('ZADD', KEYS[4], ms, ARGV[2])
redis.call('ZADD', KEYS[3], ms, ARGV[2])
redis.call('PUBLISH', ARGV[7], ARGV[8])
return lost

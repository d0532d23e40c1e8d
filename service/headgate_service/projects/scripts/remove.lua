-- Removes what Redis holds of a deleted project, once every sink has settled what was accepted.
-- KEYS 1 T:projects  2 T:ready  3 T:changed  4 T:remembered  5 T:letters  6 P:use  7 P:cur   then whatever else is to go
-- ARGV 1 project  2 whether to remove, 0/1   then the names of the sinks that are to be done first
-- Returns 1 where it is gone, or could go; 0 where a sink still has events to get.
local accepted = tonumber(redis.call('HGET', KEYS[6], 'seq') or 0)
local trimmed = tonumber(redis.call('HGET', KEYS[6], 'trimmed_seq') or 0)
for i = 3, #ARGV do
  local cursor = redis.call('HGET', KEYS[7], 'c:' .. ARGV[i])
  local settled = cursor and tonumber(string.match(cursor, '^%S+ (%d+)')) or trimmed
  if settled < accepted then
    return 0
  end
end
if ARGV[2] == '0' then
  return 1
end
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
for i = 6, #KEYS do
  -- Not at once: a long log would keep Redis from all others.
  redis.call('UNLINK', KEYS[i])
end
return 1

-- Forgets the oldest generations of a project's event ids and idempotency records, until the rest takes so many bytes.
-- KEYS 1 P:remembered  2 T:remembered  3-6 P:d0..P:d3  7-10 P:i0..P:i3
-- ARGV 1 project  2 bytes that may stay
-- Returns the bytes that stay. It can run when Redis is out of memory.

local LIFE_MS = 129600000
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local fields = redis.call('HMGET', KEYS[1], 'newest', '0', '1', '2', '3')
local newest = tonumber(fields[1] or 0)
local bytes, total = {}, 0
for slot = 0, 3 do
  local since, size = string.match(fields[slot + 2] or '', '^(%d+) (%d+)$')
  if since and now < since + LIFE_MS then
    bytes[slot] = tonumber(size)
    total = total + bytes[slot]
  end
end
for back = 3, 0, -1 do
  local slot = (newest - back) % 4
  if total > tonumber(ARGV[2]) and bytes[slot] then
    redis.call('UNLINK', KEYS[3 + slot], KEYS[7 + slot])
    redis.call('HDEL', KEYS[1], slot)
    total = total - bytes[slot]
  end
end
if total == 0 then
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  redis.call('ZADD', KEYS[2], string.format('%d', total), ARGV[1])
end
return total

-- Records what became of a dead letter's event that was sent again.
-- KEYS 1 T:lease  2 T:retry:<sink>  3 P:cur  4 P:dead  5 P:dx:<sink>  6 T:changed  7 P:letters  8 T:letters
-- ARGV 1 token  2 lease milliseconds  3 its field in the hash  4 sink or replay  5 the letter's id  6 the event's ordinal
--      7 project
--      then, where it is dead again, the fields and values of the letter that takes the old one's place
-- Returns 1. Errors: FENCED, GONE (it was recorded before)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is another one')
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if redis.call('HDEL', KEYS[2], ARGV[3]) == 0 then
  return redis.error_reply('GONE the event is not to be sent again')
end
local old = redis.call('XRANGE', KEYS[4], ARGV[5], ARGV[5])[1]
local function add_bytes(bytes)
  if bytes ~= 0 then
    redis.call('HINCRBY', KEYS[7], ARGV[4], string.format('%d', bytes))
    redis.call('ZINCRBY', KEYS[8], string.format('%d', bytes), ARGV[7])
  end
end
if old then
  redis.call('XDEL', KEYS[4], ARGV[5])
  for i = 1, #old[2], 2 do
    if old[2][i] == 'size' then
      add_bytes(-tonumber(old[2][i + 1]))
    end
  end
end
if #ARGV > 7 then
  if old then
    -- As in settle.lua. It takes the room of the old one.
    local bytes = 100
    for i = 8, #ARGV do
      bytes = bytes + #ARGV[i]
    end
    local letter = {unpack(ARGV, 8)}
    letter[#letter + 1], letter[#letter + 2] = 'size', string.format('%d', bytes)
    redis.call('XADD', KEYS[4], '*', unpack(letter))
    add_bytes(bytes)
  end
  return 1
end
-- The books of an old replay are gone, and begin no more.
if redis.call('HEXISTS', KEYS[3], 'dead:' .. ARGV[4]) == 1 then
  redis.call('HINCRBY', KEYS[3], 'dead:' .. ARGV[4], -1)
  redis.call('HINCRBY', KEYS[3], 'delivered:' .. ARGV[4], 1)
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[6], string.format('%d', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)), ARGV[7])
-- The range of dead ordinals that it is in, without it.
local ordinal = tonumber(ARGV[6])
local range = redis.call('ZRANGEBYSCORE', KEYS[5], ARGV[6], '+inf', 'LIMIT', 0, 1)[1]
if range then
  local lo, hi = string.match(range, '^(%d+)-(%d+)$')
  if tonumber(lo) < ordinal then
    redis.call('ZREM', KEYS[5], range)
    local before = string.format('%d', ordinal - 1)
    if tonumber(lo) < ordinal - 1 then
      redis.call('ZADD', KEYS[5], before, lo .. '-' .. before)
    end
    if tonumber(hi) > ordinal then
      redis.call('ZADD', KEYS[5], hi, ARGV[6] .. '-' .. hi)
    end
  end
end
return 1

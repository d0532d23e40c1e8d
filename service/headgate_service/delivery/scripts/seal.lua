-- Promises a batch to a sink, before it is written for the first time.
-- KEYS 1 T:lease  2 T:seal:<sink>   ARGV 1 token  2 lease milliseconds  3 version  4 SealedBatch
-- The hash holds `n`, the last batch number, which is never below the time in milliseconds: where a Redis comes back
-- with an earlier state of its data, targets know the numbers that it has forgotten; `v`, which each change raises, so that a call whose reply was lost and
-- which runs late, after others, changes nothing; and the promised batches by number.
-- Returns {number, version}. Errors: FENCED, STALE (the version is another one: read the hash again)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is another one')
end
if (redis.call('HGET', KEYS[2], 'v') or '0') ~= ARGV[3] then
  return redis.error_reply('STALE the seals were changed')
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local version = redis.call('HINCRBY', KEYS[2], 'v', 1)
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local number = math.max(tonumber(redis.call('HGET', KEYS[2], 'n') or 0) + 1, now)
local field = string.format('%d', number)
redis.call('HSET', KEYS[2], 'n', field, field, ARGV[4])
return {number, version}

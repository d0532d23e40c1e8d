-- Checks both limits, counts and appends in one step.
-- KEYS  1 requests in this window   2 events in this month   3 stream
-- ARGV  1 most requests   2 window in seconds   3 most events   4 events in this request   5 the request's body
-- Returns [admitted 0/1, requests used, events used, id of the entry]
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
local month = tonumber(redis.call('GET', KEYS[2]) or 0)
if used >= tonumber(ARGV[1]) or month + tonumber(ARGV[4]) > tonumber(ARGV[3]) then
  return {0, used, month, ''}
end
used = redis.call('INCR', KEYS[1])
if used == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
month = redis.call('INCRBY', KEYS[2], ARGV[4])
return {1, used, month, redis.call('XADD', KEYS[3], '*', 'n', ARGV[4], 'body', ARGV[5])}

-- Takes one of the places of a project's queries for a while. Returns 1, or 0 where none is free.
-- KEYS 1 sorted set of the queries that run, by when they are no longer believed, in ms
-- ARGV 1 places  2 the query's id  3 for how many ms it is believed
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], ms + ARGV[3], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1

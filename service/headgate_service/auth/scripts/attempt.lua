-- Takes one of the attempts of a window that starts with the first. Returns 0, or how many milliseconds to wait.
-- KEYS 1 the counter   ARGV 1 attempts a window  2 its milliseconds
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if used <= tonumber(ARGV[1]) then return 0 end
redis.call('DECR', KEYS[1])
return math.max(redis.call('PTTL', KEYS[1]), 1)

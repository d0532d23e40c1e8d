-- Gives back the attempt that succeeded, and remembers its address as known to the account.
-- KEYS 1 to 4 as of attempt.lua   ARGV 1 the address  2 how many are known at most  3 milliseconds they are known
-- An expired counter must not come back as a negative one that never expires.
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECR', KEYS[1]) end
redis.call('DEL', KEYS[2])
if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('HINCRBY', KEYS[3], 'n', -1) end
redis.call('ZADD', KEYS[4], redis.call('TIME')[1], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -ARGV[2] - 1)
redis.call('PEXPIRE', KEYS[4], ARGV[3])
return 0

-- KEYS 1 T:lease   ARGV 1 token  2 milliseconds   Returns 1 where the lease is still held, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])

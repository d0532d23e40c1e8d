-- KEYS 1 T:lease   ARGV 1 token   Returns 1 where the lease was held and is now free, else 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])

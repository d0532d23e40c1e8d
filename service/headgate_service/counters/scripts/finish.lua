-- Lets a shard serve whose counters are put back.
-- KEYS 1 T:epoch  2 T:restoring   ARGV 1 the epoch's name   Returns 1; 0 where Redis was emptied meanwhile.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0
end
-- In this order: a full memory refuses a SET that is the first to write.
redis.call('DEL', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1])
return 1

-- Begins to put a shard's counters back: until that is done, nothing is taken in and nobody delivers.
-- KEYS 1 T:epoch  2 T:restoring  3 T:lease   ARGV 1 the epoch's name
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('SET', KEYS[2], ARGV[1])
end
return 1

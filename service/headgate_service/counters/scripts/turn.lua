-- Takes the next turn to copy, which nobody else has before it is due.
-- KEYS 1 headgate:copying   ARGV 1 milliseconds until the turn after it   Returns 1 where it is taken, else 0.
if redis.call('PTTL', KEYS[1]) > 0 then
  return 0
end
-- A full memory refuses a SET that is the first to write.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return 1

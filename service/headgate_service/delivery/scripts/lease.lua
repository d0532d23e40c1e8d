-- Takes the lease of a shard that nobody holds, or that an earlier life of the same owner held.
-- KEYS 1 T:lease  2 T:fence  3 T:epoch   ARGV 1 owner  2 milliseconds
-- Returns {the token, "<fence> <owner>", which every script of the holder compares; the name of the shard's epoch}; nil
-- where someone else holds it, or the shard has no epoch: its counters and cursors are not put back yet.
local epoch = redis.call('GET', KEYS[3])
if not epoch then
  return false
end
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (.*)$') ~= ARGV[1] then
  return false
end
-- No command that a full memory refuses comes first, here and in the other scripts: delivery is what frees memory.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local token = string.format('%d %s', redis.call('INCR', KEYS[2]), ARGV[1])
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
return {token, epoch}

-- Deletes dead letters, but for those that are about to be sent again. Their events stay counted as dead.
-- KEYS 1 T:retry:<sink>  2 P:dead  3 P:letters  4 T:letters   ARGV 1 project  2 sink, as its letters name it   then letters' ids
-- Returns how many went.
local gone, bytes = 0, 0
for i = 3, #ARGV do
  local letter = redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i])[1]
  if letter and redis.call('HEXISTS', KEYS[1], ARGV[1] .. ' ' .. ARGV[i]) == 0 then
    gone = gone + redis.call('XDEL', KEYS[2], ARGV[i])
    for f = 1, #letter[2], 2 do
      if letter[2][f] == 'size' then
        bytes = bytes + tonumber(letter[2][f + 1])
      end
    end
  end
end
if bytes > 0 then
  redis.call('HINCRBY', KEYS[3], ARGV[2], string.format('%d', -bytes))
  redis.call('ZINCRBY', KEYS[4], string.format('%d', -bytes), ARGV[1])
end
return gone

-- Deletes dead letters, but for those that are about to be sent again. Their events stay counted as dead.
-- KEYS 1 T:retry:<sink>  2 P:dead   ARGV 1 project   then letters' ids   Returns how many went.
local gone = 0
for i = 2, #ARGV do
  if redis.call('HEXISTS', KEYS[1], ARGV[1] .. ' ' .. ARGV[i]) == 0 then
    gone = gone + redis.call('XDEL', KEYS[2], ARGV[i])
  end
end
return gone

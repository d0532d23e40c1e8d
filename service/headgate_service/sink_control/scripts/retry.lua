-- Keeps dead letters' events to be sent again, unless they are kept already.
-- KEYS 1 T:retry:<sink>  2 P:dead   ARGV 1 project   then per letter: its id, its StoredRetry
-- The hash holds `n`, the last batch number, as in seal.lua; and by "<project> <letter>" "<batch number> <StoredRetry>".
-- Returns how many letters it took.
local time = redis.call('TIME')
local number = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
number = math.max(tonumber(redis.call('HGET', KEYS[1], 'n') or 0) + 1, number)
local taken = 0
for i = 2, #ARGV, 2 do
  local field = ARGV[1] .. ' ' .. ARGV[i]
  local there = #redis.call('XRANGE', KEYS[2], ARGV[i], ARGV[i]) > 0
  if there and redis.call('HEXISTS', KEYS[1], field) == 0 then
    local text = string.format('%d', number)
    redis.call('HSET', KEYS[1], 'n', text, field, text .. ' ' .. ARGV[i + 1])
    number = number + 1
    taken = taken + 1
  end
end
return taken

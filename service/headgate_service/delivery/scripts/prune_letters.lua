-- Deletes a project's oldest dead letters until the rest takes so many bytes. Their events stay counted as dead.
-- KEYS 1 P:dead  2 P:letters  3 T:letters   ARGV 1 project  2 bytes that may stay  3 letters to delete at most
-- Returns {bytes that stay, sink, letters, sink, letters, ...}. It can run when Redis is out of memory.
local total = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or 0)
local keep, before, gone, freed = tonumber(ARGV[2]), total, {}, {}
local letters = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[3])
for _, letter in ipairs(letters) do
  if total <= keep then
    break
  end
  local sink, size = '', 0
  for f = 1, #letter[2], 2 do
    if letter[2][f] == 'sink' then
      sink = letter[2][f + 1]
    elseif letter[2][f] == 'size' then
      size = tonumber(letter[2][f + 1])
    end
  end
  redis.call('XDEL', KEYS[1], letter[1])
  total = total - size
  gone[sink] = (gone[sink] or 0) + 1
  freed[sink] = (freed[sink] or 0) + size
end
if #letters == 0 then
  -- Nothing is left that could go, whatever was counted.
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {0}
end
local answer = {total}
for sink, count in pairs(gone) do
  redis.call('HINCRBY', KEYS[2], sink, string.format('%d', -freed[sink]))
  answer[#answer + 1], answer[#answer + 2] = sink, count
end
if total ~= before then
  redis.call('ZADD', KEYS[3], string.format('%d', total), ARGV[1])
end
return answer

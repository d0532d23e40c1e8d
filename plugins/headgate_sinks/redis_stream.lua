-- Appends a batch to a stream, unless that was done before.
--
-- KEYS: 1 the stream; 2 a hash: the last batch number that was appended, by the line that the batch belongs to.
-- ARGV: 1 the line; 2 the batch's number in it; 3 the batch's id; 4 about how many entries to keep, "" for all; then
--   for each event: its id, name, project and JSON.
-- Returns how many entries were appended: none where the batch was there already.

local last = redis.call('HGET', KEYS[2], ARGV[1])
if last and tonumber(ARGV[2]) <= tonumber(last) then
  return 0
end
for i = 5, #ARGV, 4 do
  local fields = { '*', 'batch', ARGV[3], 'id', ARGV[i], 'name', ARGV[i + 1], 'project', ARGV[i + 2], 'event', ARGV[i + 3] }
  if ARGV[4] == '' then
    redis.call('XADD', KEYS[1], unpack(fields))
  else
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], unpack(fields))
  end
end
-- After the entries: where memory is short the first of them is refused, and nothing happened.
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return (#ARGV - 4) / 4

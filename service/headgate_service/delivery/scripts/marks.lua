-- Reads what entries of a log say of themselves, and not what is in them.
-- KEYS 1 P:log   ARGV 1 after this id  2 through this id  3 entries at most   Returns {id, m, id, m, ...}
local marks = {}
for i, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
  marks[2 * i - 1], marks[2 * i] = entry[1], entry[2][2]
end
return marks

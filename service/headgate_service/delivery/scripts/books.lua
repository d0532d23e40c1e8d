-- Reads one project's books at one moment. Writes nothing.
-- KEYS 1 P:cur  2 P:use  3 P:log   then per sink: T:seal:<sink>
-- ARGV 1 entries at most   then per sink: its name, the version of its seals that is known
-- Returns {accepted, trimmed events, the same in payload bytes, {per sink: {cursor or '', start or '', delivered, filtered, dead, version,
-- SealedBatches where the version is another one than is known}}, marks, more}, where marks are {id, m, id, m, ...} of the entries after the lowest cursor, and more is the last entry's id where the
-- marks end before it, else ''.
local use = redis.call('HMGET', KEYS[2], 'seq', 'trimmed_seq', 'bytes', 'trimmed_bytes')
local function before(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  return tonumber(ams) < tonumber(bms) or (ams == bms and tonumber(aseq) < tonumber(bseq))
end

local rows, lowest = {}, nil
for i = 2, #ARGV, 2 do
  local sink, seals = ARGV[i], {}
  local sealed = KEYS[3 + i / 2]
  local version = redis.call('HGET', sealed, 'v') or '0'
  if version ~= ARGV[i + 1] then
    local fields = redis.call('HGETALL', sealed)
    for f = 1, #fields, 2 do
      if fields[f] ~= 'v' and fields[f] ~= 'n' then
        seals[#seals + 1] = fields[f + 1]
      end
    end
  end
  local row = redis.call(
    'HMGET', KEYS[1], 'c:' .. sink, 'start:' .. sink, 'delivered:' .. sink, 'filtered:' .. sink, 'dead:' .. sink
  )
  local entry = row[1] and string.match(row[1], '^(%S+)') or '0-0'
  if not lowest or before(entry, lowest) then
    lowest = entry
  end
  rows[#rows + 1] = {row[1] or '', row[2] or '', row[3] or '0', row[4] or '0', row[5] or '0', version, seals}
end

local marks, more = {}, ''
if lowest then
  local entries = redis.call('XRANGE', KEYS[3], '(' .. lowest, '+', 'COUNT', ARGV[1])
  for i, entry in ipairs(entries) do
    marks[2 * i - 1], marks[2 * i] = entry[1], entry[2][2]
  end
  local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
  if #entries > 0 and entries[#entries][1] ~= last[1] then
    more = last[1]
  end
end
return {use[1] or '0', use[2] or '0', use[3] or '0', use[4] or '0', rows, marks, more}

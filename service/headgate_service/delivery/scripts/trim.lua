-- Removes entries of a project's log that every sink is done with and that are older, or more, than what is kept.
-- KEYS 1 T:lease  2 P:log  3 P:cur  4 P:use
-- ARGV 1 token  2 lease milliseconds  3 milliseconds kept  4 bytes kept   then the names of the project's sinks, with a
--      `~` before those that are disabled
-- A sink without a cursor has settled nothing yet, and nothing goes; a disabled one holds nothing then, and else keeps
-- what follows its cursor from growing too old, but not from being too much. A project without sinks keeps what the two
-- bounds say.
-- Returns {how many entries went, milliseconds until the oldest that is left is too old, payload bytes gone in all}.
-- Errors: FENCED
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is another one')
end

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function before(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or (ams == bms and aseq < bseq)
end
-- The last entry of an id up to `id`: its id, and the project's events and bytes through it.
local function last_through(id)
  local entry = redis.call('XREVRANGE', KEYS[2], id, '-', 'COUNT', 1)[1]
  if not entry then
    return nil
  end
  local seq, bytes = string.match(entry[2][2], '^(%d+) (%d+)')
  return entry[1], tonumber(seq), tonumber(bytes)
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local gone_bytes = tonumber(redis.call('HGET', KEYS[4], 'trimmed_bytes') or 0)
local function answer(count)
  local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
  return {count, (oldest and (parts(oldest[1])) or now) + tonumber(ARGV[3]) - now, gone_bytes}
end

local lowest = '18446744073709551615-0'
local disabled = lowest
for i = 5, #ARGV do
  local mark, name = string.match(ARGV[i], '^(~?)(.*)$')
  local cursor = redis.call('HGET', KEYS[3], 'c:' .. name)
  local id = cursor and string.match(cursor, '^(%S+)')
  if mark == '~' then
    if id and before(id, disabled) then
      disabled = id
    end
  elseif not id then
    return answer(0)
  elseif before(id, lowest) then
    lowest = id
  end
end

local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if not first or before(lowest, first[1]) then
  return answer(0)
end
local settled, _, settled_bytes = last_through(lowest)

-- Everything through this millisecond goes, as far as it is settled.
local through = math.min(now - tonumber(ARGV[3]), (parts(disabled)) - 1)
local excess = settled_bytes - gone_bytes - tonumber(ARGV[4])
if excess > 0 then
  local low, high = parts(first[1]), (parts(settled))
  while low < high do
    local middle = math.floor((low + high) / 2)
    local _, _, bytes = last_through(string.format('%d', middle))
    if bytes - gone_bytes >= excess then
      high = middle
    else
      low = middle + 1
    end
  end
  through = math.max(through, low)
end

local last = settled
if through < (parts(settled)) then
  last = string.format('%d-18446744073709551615', math.max(through, 0))
end
local id, seq, bytes = last_through(last)
if not id then
  return answer(0)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local ms, number = string.match(id, '^(%d+)-(%d+)$')
local count = redis.call('XTRIM', KEYS[2], 'MINID', '=', ms .. '-' .. string.format('%d', tonumber(number) + 1))
redis.call('HSET', KEYS[4], 'trimmed_seq', string.format('%d', seq), 'trimmed_bytes', string.format('%d', bytes))
gone_bytes = bytes
return answer(count)

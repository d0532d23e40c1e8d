-- Records what became of events at a sink: promised batches go, others come in their place, cursors move, dead letters
-- are kept, all in one step.
-- KEYS 1 T:lease  2 T:seal:<sink>  3 T:changed  4 T:letters   then five per project: P:cur, P:dead, P:dx:<sink>, P:use, P:letters
--      then, by project, P:fx:<sink>:<block> for each of its pieces of bits
-- ARGV 1 token  2 lease milliseconds  3 version  4 msgpack:
--      [sink, [numbers to delete], [SealedBatches to add, by place], bytes of the sink's dead letters that a project keeps,
--       per project: [cursor, delivered, dead, [[lo, hi] dead ordinals, lo exclusive],
--                     [[field, value, ... of a dead letter, the event's place, or 0 where it has none]],
--                     filtered, how many of these the route could not tell, [[byte offset, place] of pieces of bits],
--                     its id],
--       milliseconds that blocks of bits are kept]
--      then what the places, from 1, stand for: bytes, which this msgpack has no type for
-- Returns {version, numbers of the batches added, by project how many dead letters found no room}. Errors: FENCED, STALE, GONE (a batch to delete is not there)
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is another one')
end
if (redis.call('HGET', KEYS[2], 'v') or '0') ~= ARGV[3] then
  return redis.error_reply('STALE the seals were changed')
end
local sink, deletes, adds, keep, projects, bits_kept = unpack(cmsgpack.unpack(ARGV[4]))
for _, number in ipairs(deletes) do
  if redis.call('HEXISTS', KEYS[2], string.format('%d', number)) == 0 then
    return redis.error_reply('GONE a sealed batch is not there')
  end
end

redis.call('PEXPIRE', KEYS[1], ARGV[2])
for _, number in ipairs(deletes) do
  redis.call('HDEL', KEYS[2], string.format('%d', number))
end
local version, numbers, unkept = redis.call('HINCRBY', KEYS[2], 'v', 1), {}, {}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, place in ipairs(adds) do
  -- As in seal.lua.
  local number = math.max(tonumber(redis.call('HGET', KEYS[2], 'n') or 0) + 1, now)
  local field = string.format('%d', number)
  redis.call('HSET', KEYS[2], 'n', field, field, ARGV[4 + place])
  numbers[#numbers + 1] = number
end
-- What an entry of a stream takes besides its values.
local entry_bytes = 100
local next_bits = 5 + 5 * #projects
for i, project in ipairs(projects) do
  local cursor, delivered, dead, ranges, letters, filtered, route_errors, pieces, project_id = unpack(project)
  local cursors, dead_letters, dead_ranges = KEYS[5 * i], KEYS[5 * i + 1], KEYS[5 * i + 2]
  local use, kept = KEYS[5 * i + 3], KEYS[5 * i + 4]
  unkept[i] = 0
  redis.call('ZADD', KEYS[3], string.format('%d', now), project_id)
  if redis.call('HSET', cursors, 'c:' .. sink, cursor) == 1 then
    -- Its first cursor: nothing was trimmed before it, and the ledger counts from here.
    redis.call('HSETNX', cursors, 'start:' .. sink, redis.call('HGET', use, 'trimmed_seq') or '0')
  end
  if delivered > 0 then
    redis.call('HINCRBY', cursors, 'delivered:' .. sink, string.format('%d', delivered))
  end
  if dead > 0 then
    redis.call('HINCRBY', cursors, 'dead:' .. sink, string.format('%d', dead))
  end
  if filtered > 0 then
    redis.call('HINCRBY', cursors, 'filtered:' .. sink, string.format('%d', filtered))
  end
  if route_errors > 0 then
    redis.call('HINCRBY', cursors, 'route_errors:' .. sink, string.format('%d', route_errors))
  end
  for _, piece in ipairs(pieces) do
    local key, offset, bits = KEYS[next_bits], piece[1], ARGV[4 + piece[2]]
    next_bits = next_bits + 1
    -- Only the outer bytes may hold bits of other events, and no piece is empty.
    local last = offset + #bits - 1
    local head = string.byte(redis.call('GETRANGE', key, offset, offset)) or 0
    local tail = string.byte(redis.call('GETRANGE', key, last, last)) or 0
    bits = string.char(bit.bor(string.byte(bits), head)) .. string.sub(bits, 2)
    bits = string.sub(bits, 1, -2) .. string.char(bit.bor(string.byte(bits, -1), tail))
    redis.call('SETRANGE', key, offset, bits)
    redis.call('PEXPIRE', key, string.format('%d', bits_kept))
  end
  for _, range in ipairs(ranges) do
    local lo, hi = string.format('%d', range[1]), string.format('%d', range[2])
    -- A target that takes nothing at all makes one range, not one for each batch.
    local last = redis.call('ZRANGE', dead_ranges, -1, -1)[1]
    if last and string.match(last, '-(%d+)$') == lo then
      redis.call('ZREM', dead_ranges, last)
      lo = string.match(last, '^(%d+)')
    end
    redis.call('ZADD', dead_ranges, hi, lo .. '-' .. hi)
  end
  local size = #letters > 0 and tonumber(redis.call('HGET', kept, sink) or 0)
  local before = size
  for _, letter in ipairs(letters) do
    local place = table.remove(letter)
    if place > 0 then
      letter[#letter + 1] = 'event'
      letter[#letter + 1] = ARGV[4 + place]
    end
    local bytes = entry_bytes
    for _, part in ipairs(letter) do
      bytes = bytes + #tostring(part)
    end
    if size + bytes > keep then
      unkept[i] = unkept[i] + 1
    else
      size = size + bytes
      letter[#letter + 1] = 'size'
      letter[#letter + 1] = string.format('%d', bytes)
      redis.call('XADD', dead_letters, '*', unpack(letter))
    end
  end
  if size and size > before then
    redis.call('HSET', kept, sink, string.format('%d', size))
    redis.call('ZINCRBY', KEYS[4], string.format('%d', size - before), project_id)
  end
end
return {version, numbers, unkept}

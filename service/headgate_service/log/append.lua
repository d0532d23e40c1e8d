-- Judges up to 64 requests of one project in order and appends what it admits: idempotency, event-id dedup, rate limit,
-- quota, bound of the log, ledger and log entry in one step, so that counted = queued = acknowledged.
--
-- KEYS  1 P:log   2 P:use   3 P:cur   4 T:ready   5 T:projects   6-9 P:d0..P:d3   10 T:epoch   11 T:changed
--       12 P:remembered   13-16 P:i0..P:i3   17 T:remembered
--       then per request its rate key (P:log where it has none)
-- ARGV  1 header, msgpack: [project, ready channel, tag, month field, next month field, first ms of the next month,
--         monthly limit or -1, bound in bytes of what a refusing sink has not settled, [cursor field of each refusing sink],
--         name of the shard's epoch, bytes of ids and idempotency records that the project may keep here,
--         the project's accepted events as far as the caller knows of them]
--       then per request: its meta, msgpack: [events, idempotency key used 0/1, rate limit or -1, rate window ms,
--         dry run 0/1, [events per chunk], [indexes of events with a client's id], idempotency key or '',
--         and where there are any {further events to count, by the ledger's name for them, such as dropped:SAMPLED}],
--         followed by the request's hash (32 bytes, or none) and a note to keep beside it, the 10-byte hashes of those
--         ids in one string, and its chunks' payloads
-- Returns one list per request:
--       [status, ms, base, fresh, duplicates, rate used, rate ms left, month used, month field picked 0/1], and of a
--       replay with a note also that
--       status: ok, replay, duplicate (nothing new), dry, mismatch, rate, quota, full
--       ms: the entry's time, which is when it became durable; base: the project's accepted events before the request
--       duplicates: per duplicate its index (4 bytes), and the ms and ordinal (6 bytes each) of the first of its id
-- Errors: EPOCH (this Redis has lost its counters, or never had them: nothing was done)
--         BEHIND (it lacks events that were acknowledged: nothing was done; see declare_lost.lua)
--
-- Nothing is written for a request that is refused. The first write is of a kind that Redis refuses when it is out of
-- memory, so that it refuses before anything of the call was written; after it no command can fail.

local DAY_MS = 86400000
local GENERATION_MS = 43200000
-- Redis's memory for an id, and for an idempotency record beside what it holds.
local ID_BYTES, RECORD_BYTES = 84, 90
-- Added to a record's count of fresh events where a note follows it.
local NOTED = 2147483648

local header = cmsgpack.unpack(ARGV[1])
local project, channel, tag = header[1], header[2], header[3]
if redis.call('GET', KEYS[10]) ~= header[10] then
  return redis.error_reply('EPOCH the counters are not those that the control DB knows')
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local month_turned = now >= header[6]
local month = month_turned and header[5] or header[4]
local month_limit, bound, refusing = header[7], header[8], header[9]

local use = redis.call('HMGET', KEYS[2], 'seq', 'bytes', 'trimmed_bytes', month)
local seq, bytes = tonumber(use[1] or 0), tonumber(use[2] or 0)
if seq < header[12] then
  return redis.error_reply('BEHIND this Redis lacks events that were acknowledged')
end
local month_used = tonumber(use[4] or 0)
local seq_before, month_before = seq, month_used
local duplicate_count = 0
local further = {}

-- Event ids and idempotency records are remembered in four generations, of 12 hours or a quarter of the bytes that the
-- project may keep, whichever ends first. The next one takes the place of the oldest, which is forgotten. `since` and
-- `bytes` are by the place; a generation outlives its 12 hours by 24.
local remembered = nil
local function recall()
  if remembered then
    return
  end
  local fields = redis.call('HMGET', KEYS[12], 'newest', '0', '1', '2', '3')
  remembered = {newest = tonumber(fields[1] or 0), since = {}, bytes = {}, written = {}}
  for slot = 0, 3 do
    local since, size = string.match(fields[slot + 2] or '', '^(%d+) (%d+)$')
    if since and now < since + GENERATION_MS + DAY_MS then
      remembered.since[slot], remembered.bytes[slot] = tonumber(since), tonumber(size)
    end
  end
end

-- The places of the generations that hold something, the newest first.
local function generations()
  recall()
  local slots = {}
  for back = 0, 3 do
    local slot = (remembered.newest - back) % 4
    if remembered.since[slot] then
      slots[#slots + 1] = slot
    end
  end
  return slots
end

-- The place to remember so many bytes more.
local function slot_for(size)
  recall()
  local slot = remembered.newest % 4
  local since, held = remembered.since[slot], remembered.bytes[slot]
  if not since or now - since >= GENERATION_MS or (held > 0 and held + size > header[11] / 4) then
    remembered.newest = remembered.newest + 1
    slot = remembered.newest % 4
    redis.call('HSET', KEYS[12], 'newest', string.format('%d', remembered.newest), slot, string.format('%d 0', now))
    redis.call('UNLINK', KEYS[6 + slot], KEYS[13 + slot])
    remembered.since[slot], remembered.bytes[slot] = now, 0
  end
  remembered.bytes[slot] = remembered.bytes[slot] + size
  remembered.written[slot] = true
  return slot
end

local function full()
  if #refusing == 0 then
    return false
  end
  local cursors = redis.call('HMGET', KEYS[3], unpack(refusing))
  for i = 1, #refusing do
    local settled = use[3]
    if cursors[i] then
      settled = string.match(cursors[i], ' (%d+)$')
    end
    if bytes - tonumber(settled or 0) >= bound then
      return true
    end
  end
  return false
end

-- The record of each hash: {ms, ordinal} of the first event of that id, where it is less than 24 hours old.
local function known(hashes)
  local found, slots = {}, generations()
  for first = 1, #hashes, 1000 do
    local part = {}
    for i = first, math.min(first + 999, #hashes) do
      part[#part + 1] = hashes[i]
    end
    for s = 1, #slots do
      local values = redis.call('HMGET', KEYS[6 + slots[s]], unpack(part))
      for i = 1, #part do
        if values[i] and not found[part[i]] then
          local ms, ordinal = struct.unpack('>I6I6', values[i])
          if now - ms < DAY_MS then
            found[part[i]] = {ms, ordinal}
          end
        end
      end
    end
  end
  return found
end

-- The record under an idempotency key, where it is less than 24 hours old.
local function record_of(key)
  local slots = generations()
  for s = 1, #slots do
    local record = redis.call('HGET', KEYS[13 + slots[s]], key)
    if record and now - struct.unpack('>I6', record, 33) < DAY_MS then
      return record
    end
  end
  return nil
end

-- How often each rate key was used and how long its window lasts, as the requests of this call left it: nearly all of
-- them share one.
local rates = {}
local unlimited = {used = 0, left = 0, fresh = 0}
local function rate_of(key, limit, window)
  if limit < 0 then
    unlimited.left = window
    return unlimited
  end
  local rate = rates[key]
  if not rate then
    local used = tonumber(redis.call('GET', key) or 0)
    rate = {used = used, left = window, window = window, begun = used > 0, fresh = 0}
    if rate.begun then
      rate.left = math.max(redis.call('PTTL', key), 1)
    end
    rates[key] = rate
  end
  return rate
end

local function judge(meta, meta_at, rate_key)
  local events, recorded, rate_limit, rate_window, dry = meta[1], meta[2] == 1, meta[3], meta[4], meta[5] == 1
  local counts, indexes, idempotency_key = meta[6], meta[7], meta[8]
  local hash, note = string.sub(ARGV[meta_at + 1], 1, 32), string.sub(ARGV[meta_at + 1], 33)
  local id_hashes = ARGV[meta_at + 2]

  local rate = rate_of(rate_key, rate_limit, rate_window)
  local function answer(status, ms, base, fresh, duplicates, noted)
    return {status, ms, base, fresh, duplicates, rate.used, rate.left, month_used, month_turned and 1 or 0, noted}
  end

  if recorded then
    local record = record_of(idempotency_key)
    if record then
      if string.sub(record, 1, 32) ~= hash then
        return answer('mismatch', now, seq, 0, '')
      end
      local ms, base, fresh, rest = struct.unpack('>I6I6I4', record, 33)
      local noted = nil
      if fresh >= NOTED then
        local size
        size, rest = struct.unpack('>I4', record, rest)
        fresh, noted, rest = fresh - NOTED, string.sub(record, rest, rest + size - 1), rest + size
      end
      return answer('replay', ms, base, fresh, string.sub(record, rest), noted)
    end
  end

  -- duplicates: {index, ms, ordinal}; an id that comes twice in the request takes the entry's ms, once that is known.
  local hashes, duplicates, skipped, ids = {}, {}, {}, {}
  if #indexes > 0 then
    for i = 1, #indexes do
      hashes[i] = string.sub(id_hashes, i * 10 - 9, i * 10)
    end
    local found = known(hashes)
    local first_here = {}
    local at, rank = 1, 0
    for index = 0, events - 1 do
      local duplicate = nil
      if indexes[at] == index then
        local id = hashes[at]
        at = at + 1
        duplicate = found[id] or first_here[id]
        if not duplicate then
          first_here[id] = {0, seq + rank + 1}
          ids[#ids + 1] = id
        end
      end
      if duplicate then
        duplicates[#duplicates + 1] = {index, duplicate[1], duplicate[2]}
        skipped[index] = true
      else
        rank = rank + 1
      end
    end
  end
  local function packed(ms)
    local parts = {}
    for i = 1, #duplicates do
      local d = duplicates[i]
      parts[i] = struct.pack('>I4I6I6', d[1], d[2] > 0 and d[2] or ms, d[3])
    end
    return table.concat(parts)
  end
  -- What is true of every request that is taken, be there anything new in it or not.
  local function settle(ms, base, fresh)
    if recorded then
      local head = struct.pack('>I6I6I4', ms, base, fresh)
      if #note > 0 then
        head = struct.pack('>I6I6I4I4', ms, base, fresh + NOTED, #note) .. note
      end
      local record = hash .. head .. packed(ms)
      redis.call('HSET', KEYS[13 + slot_for(RECORD_BYTES + #record)], idempotency_key, record)
    end
    duplicate_count = duplicate_count + #duplicates
    for name, counted in pairs(meta[9] or {}) do
      further[name] = (further[name] or 0) + counted
    end
  end

  local fresh = events - #duplicates
  if fresh == 0 then
    if not dry then
      settle(now, seq, 0)
    end
    return answer('duplicate', now, seq, 0, packed(now))
  end
  if rate_limit >= 0 and rate.used >= rate_limit then
    return answer('rate', now, seq, fresh, '')
  end
  if month_limit >= 0 and month_used + fresh > month_limit then
    return answer('quota', now, seq, fresh, '')
  end
  if full() then
    return answer('full', now, seq, fresh, '')
  end

  if rate_limit >= 0 then
    rate.used, rate.fresh = rate.used + 1, rate.fresh + 1
  end
  if dry then
    return answer('dry', now, seq, fresh, packed(now))
  end

  local base, ms, last = seq, nil, nil
  local index = 0
  for c = 1, #counts do
    local skips, kept = {}, 0
    for place = 0, counts[c] - 1 do
      if skipped[index] then
        skips[#skips + 1] = string.format('%d', place)
      else
        kept = kept + 1
      end
      index = index + 1
    end
    if kept > 0 then
      local payload = ARGV[meta_at + 2 + c]
      seq = seq + kept
      bytes = bytes + #payload
      local m = string.format('%d %d %s %d', seq, bytes, table.concat(skips, ','), kept)
      -- The entries of one request bear one time, so that its events do.
      local id = '*'
      if last then
        local head, tail = string.match(last, '^(%d+)-(%d+)$')
        id = head .. '-' .. string.format('%d', tonumber(tail) + 1)
      end
      last = redis.call('XADD', KEYS[1], id, 'm', m, 'b', payload)
      ms = tonumber(string.match(last, '^(%d+)'))
    end
  end

  if #ids > 0 then
    local ordinals = {}
    local at, rank = 1, 0
    for i = 0, events - 1 do
      if not skipped[i] then
        rank = rank + 1
      end
      if indexes[at] == i then
        if not skipped[i] then
          ordinals[#ordinals + 1] = base + rank
        end
        at = at + 1
      end
    end
    local key = KEYS[6 + slot_for(#ids * ID_BYTES)]
    for first = 1, #ids, 1000 do
      local fields = {}
      for i = first, math.min(first + 999, #ids) do
        fields[#fields + 1] = ids[i]
        fields[#fields + 1] = struct.pack('>I6I6', ms, ordinals[i])
      end
      redis.call('HSET', key, unpack(fields))
    end
  end
  month_used = month_used + fresh
  settle(ms, base, fresh)
  return answer('ok', ms, base, fresh, packed(ms))
end

local answers = {}
local at = 2
for request = 1, #KEYS - 17 do
  local meta = cmsgpack.unpack(ARGV[at])
  answers[request] = judge(meta, at, KEYS[17 + request])
  at = at + 3 + #meta[6]
end

for key, rate in pairs(rates) do
  if rate.fresh > 0 then
    if rate.begun then
      redis.call('INCRBY', key, string.format('%d', rate.fresh))
    else
      redis.call('SET', key, string.format('%d', rate.fresh), 'PX', string.format('%d', rate.window))
    end
  end
end
if remembered and next(remembered.written) then
  local total = 0
  for slot, size in pairs(remembered.bytes) do
    total = total + size
    if remembered.written[slot] then
      local since = remembered.since[slot]
      local ends = string.format('%d', since + GENERATION_MS + DAY_MS)
      redis.call('HSET', KEYS[12], slot, string.format('%d %d', since, size))
      redis.call('PEXPIREAT', KEYS[6 + slot], ends)
      redis.call('PEXPIREAT', KEYS[13 + slot], ends)
    end
  end
  redis.call('PEXPIRE', KEYS[12], string.format('%d', GENERATION_MS + DAY_MS))
  redis.call('ZADD', KEYS[17], string.format('%d', total), project)
end
local hour = string.format('h:%d:', math.floor(now / 3600000))
if seq > seq_before then
  redis.call('HSET', KEYS[2], 'seq', string.format('%d', seq), 'bytes', string.format('%d', bytes))
  redis.call('HINCRBY', KEYS[2], month, string.format('%d', month_used - month_before))
  redis.call('HINCRBY', KEYS[2], hour .. 'accepted', string.format('%d', seq - seq_before))
  if seq_before == 0 then
    redis.call('SADD', KEYS[5], project)
  end
  if redis.call('ZADD', KEYS[4], 'NX', string.format('%d', now), project) == 1 then
    redis.call('PUBLISH', channel, tag)
  end
end
if duplicate_count > 0 then
  redis.call('HINCRBY', KEYS[2], hour .. 'duplicate', string.format('%d', duplicate_count))
end
for name, counted in pairs(further) do
  redis.call('HINCRBY', KEYS[2], hour .. name, string.format('%d', counted))
end
if seq == seq_before and (duplicate_count > 0 or next(further)) then
  -- No news for a forwarder, and yet something to copy.
  redis.call('ZADD', KEYS[11], string.format('%d', now), project)
end
return answers

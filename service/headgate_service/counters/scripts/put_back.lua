-- Puts the counters of one project back as they were copied, where Redis has lost them or has earlier ones.
-- KEYS 1 T:epoch  2 T:restoring  3 T:projects  4 T:changed  5 P:use  6 P:cur  7 P:log  8 P:dead   then P:dx:<sink> per sink
-- ARGV 1 the epoch's name  2 msgpack: [project, seq, bytes, [counter, value, ...], [field, value, ...] of P:cur,
--        per sink: [name, accepted events through its cursor, where its books start]]
-- No counter goes down. Where events were lost, each sink's books say so: what it had not settled is dead, with one
-- letter for all of it, but for what the log of an earlier time still holds.
-- Returns DONE (the epoch serves already), AGAIN (Redis was emptied meanwhile), KEPT (nothing was lost) or BACK.
local name = ARGV[1]
if redis.call('GET', KEYS[1]) == name then
  return 'DONE'
end
if redis.call('GET', KEYS[2]) ~= name then
  return 'AGAIN'
end
-- As in copied.lua.
redis.call('PERSIST', KEYS[5])
local project, seq, bytes, counts, fields, sinks = unpack(cmsgpack.unpack(ARGV[2]))
for i = 1, #counts, 2 do
  if tonumber(redis.call('HGET', KEYS[5], counts[i]) or 0) < counts[i + 1] then
    redis.call('HSET', KEYS[5], counts[i], string.format('%d', counts[i + 1]))
  end
end
if tonumber(redis.call('HGET', KEYS[5], 'seq') or 0) >= seq then
  return 'KEPT'
end

local time = redis.call('TIME')
local now = string.format('%d', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local seq_text, bytes_text = string.format('%d', seq), string.format('%d', bytes)
redis.call('HSET', KEYS[5], 'seq', seq_text, 'bytes', bytes_text)
redis.call('SADD', KEYS[3], project)
redis.call('ZADD', KEYS[4], now, project)
if #fields > 0 then
  redis.call('HSET', KEYS[6], unpack(fields))
end
local last_id, last_seq = '0-0', -1
local last = redis.call('XREVRANGE', KEYS[7], '+', '-', 'COUNT', 1)[1]
if last then
  last_id, last_seq = last[1], tonumber(string.match(last[2][2], '^%d+'))
else
  redis.call('HSET', KEYS[5], 'trimmed_seq', seq_text, 'trimmed_bytes', bytes_text)
end

local function count(field)
  return tonumber(redis.call('HGET', KEYS[6], field) or 0)
end
for i, one in ipairs(sinks) do
  local sink, through, start = unpack(one)
  -- A sink that has yet to read what is left finds the gap behind it by itself.
  if through >= last_seq then
    redis.call('HSET', KEYS[6], 'c:' .. sink, last_id .. ' ' .. seq_text .. ' ' .. bytes_text)
    redis.call('HSETNX', KEYS[6], 'start:' .. sink, string.format('%d', start))
    -- Of what follows a cursor, some may be settled: of a batch of which a part is to be sent again.
    local lost = seq - count('start:' .. sink) - count('delivered:' .. sink) - count('filtered:' .. sink) - count('dead:' .. sink)
    if lost > 0 then
      local lo = string.format('%d', math.min(through, seq - 1))
      redis.call('HINCRBY', KEYS[6], 'dead:' .. sink, string.format('%d', lost))
      redis.call('ZADD', KEYS[8 + i], seq_text, lo .. '-' .. seq_text)
      redis.call(
        'XADD', KEYS[8], '*', 'sink', sink, 'lo', lo, 'hi', seq_text, 'code', 'log_lost',
        'message', 'the log was lost before the sink had settled these events', 'attempts', '0',
        'first_ms', now, 'ms', now, 'events', string.format('%d', lost), 'bytes', '0'
      )
    end
  end
end
return 'BACK'

-- Takes an attempt to sign in to an account from an address, unless one of three limits says to wait.
-- KEYS 1 attempts from the address  2 a hash of attempts from the address at the account: n, since
--      3 a hash of attempts at the account from anywhere: n, last  4 a sorted set of addresses the account knows
--      5 when the account was unlocked
-- ARGV 1 attempts from an address  2 milliseconds of their window  3 attempts from an address at an account
--      4 milliseconds of their window  5 attempts at an account from anywhere before each must wait  6 the address
-- Returns {0} where it may be made, else {milliseconds to wait, which limit: address, pair or account}.
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)

local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if used > tonumber(ARGV[1]) then
  redis.call('DECR', KEYS[1])
  return {math.max(redis.call('PTTL', KEYS[1]), 1), 'address'}
end

local unlocked = tonumber(redis.call('GET', KEYS[5]) or '0')
local window = tonumber(ARGV[4])
local pair = redis.call('HMGET', KEYS[2], 'n', 'since')
local n, since = tonumber(pair[1] or '0'), tonumber(pair[2] or tostring(now))
if since < unlocked then n, since = 0, now end
if n >= tonumber(ARGV[3]) then return {math.max(since + window - now, 1), 'pair'} end

local all = redis.call('HMGET', KEYS[3], 'n', 'last')
local total, last = tonumber(all[1] or '0'), tonumber(all[2] or '0')
local over = total - tonumber(ARGV[5])
if over >= 0 and not redis.call('ZSCORE', KEYS[4], ARGV[6]) then
  -- Doubled by each attempt, from a second to the whole window.
  local wait = last + math.min(1000 * 2 ^ math.min(over, 30), window) - now
  if wait > 0 then
    redis.call('DECR', KEYS[1])
    return {math.ceil(wait), 'account'}
  end
end

redis.call('HSET', KEYS[2], 'n', n + 1, 'since', since)
redis.call('PEXPIRE', KEYS[2], math.max(since + window - now, 1))
redis.call('HSET', KEYS[3], 'n', total + 1, 'last', now)
redis.call('PEXPIRE', KEYS[3], window)
return {0}

-- Takes requests of a free quota for an account that may use only a part of each window.
--
-- KEYS[1]  hash: the number of the window, and how many requests each account has used of it
-- KEYS[2]  sorted set: when each account with an equal part last asked, in ms
-- ARGV[1]  number of the window; '' where the quota has none: then windows of periodMs on the clock of Redis
-- ARGV[2]  id of the account
-- ARGV[3]  its share: 'equal', or the most requests in a window
-- ARGV[4]  limit of the quota
-- ARGV[5]  periodMs of the quota
-- ARGV[6]  how long an account counts as asking, in ms
-- ARGV[7]  requests to take; 0 only says that the account asks; less than 0 gives requests back
--
-- Returns 1 if the account may send, 0 if its share is used up.

local used, asking = KEYS[1], KEYS[2]
local id, share, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
local periodMs, askingMs, count = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window = tonumber(ARGV[1]) or math.floor(now / periodMs)

local allowed = tonumber(share)
if share == 'equal' then
  redis.call('ZREMRANGEBYSCORE', asking, '-inf', now - askingMs)
  if count >= 0 then redis.call('ZADD', asking, now, id) end
  redis.call('PEXPIRE', asking, askingMs)
  allowed = math.ceil(limit / math.max(1, redis.call('ZCARD', asking)))
end
if count == 0 then return 1 end

local known = tonumber(redis.call('HGET', used, 'window') or -1)
if window > known then
  if count < 0 then return 1 end
  redis.call('DEL', used)
  redis.call('HSET', used, 'window', string.format('%.0f', window))
  -- Long enough for any window. A window that is forgotten begins anew.
  redis.call('PEXPIRE', used, math.max(3600000, 2 * periodMs))
elseif window < known then
  -- Of a window that is over: it takes nothing from this one.
  return 1
end
local sum = tonumber(redis.call('HGET', used, id) or 0) + count
if count > 0 and sum > allowed then return 0 end
redis.call('HSET', used, id, math.max(0, sum))
return 1

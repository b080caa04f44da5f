-- Takes requests of a free quota for an account that may use only a part of each window.
--
-- KEYS[1]  hash: the window, and how many requests each account has used of it
-- KEYS[2]  sorted set: when each account with an equal share was last active, in ms
-- ARGV[1]  number of the window; '' where the quota has none: then windows of periodMs on the clock of Redis
-- ARGV[2]  id of the account
-- ARGV[3]  its share: 'equal', or the most requests in a window
-- ARGV[4]  limit of the quota
-- ARGV[5]  periodMs of the quota
-- ARGV[6]  how long an account stays active, in ms
-- ARGV[7]  requests to take; 0 only marks the account active; less than 0 gives requests back
--
-- Returns how many more requests the account may send, or -1 if its share has no room for those that it wants to take.

local used, active = KEYS[1], KEYS[2]
local id, share, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
local periodMs, activeMs, count = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = tonumber(ARGV[1])
local numbering = epoch and 'epochs' or 'periods of ' .. ARGV[5]
local window = epoch or math.floor(now / periodMs)

local allowed = tonumber(share)
if share == 'equal' then
  redis.call('ZREMRANGEBYSCORE', active, '-inf', now - activeMs)
  if count >= 0 then redis.call('ZADD', active, now, id) end
  redis.call('PEXPIRE', active, activeMs)
  allowed = math.ceil(limit / math.max(1, redis.call('ZCARD', active)))
end

local stored = redis.call('HMGET', used, 'window', 'numbering', 'startedMs')
local known, startedMs = tonumber(stored[1] or -1), tonumber(stored[3] or 0)
-- A request of a window that is over takes nothing from this one. The clock of Redis may have been set back.
if stored[2] == numbering and window < known then
  if epoch and count ~= 0 then return 0 end
  window = known
end
-- A window that ends only when it is used up would otherwise never end where every account has used its share.
local isOver = stored[2] ~= numbering or window > known or now - startedMs >= periodMs or now < startedMs
if isOver and count <= 0 then return allowed end
if isOver then
  redis.call('DEL', used)
  redis.call('HSET', used, 'window', string.format('%.0f', window), 'numbering', numbering,
    'startedMs', string.format('%.0f', now))
  redis.call('PEXPIRE', used, 2 * periodMs)
end
local sum = tonumber(redis.call('HGET', used, id) or 0) + count
if count > 0 and sum > allowed then return -1 end
if count ~= 0 then redis.call('HSET', used, id, math.max(0, sum)) end
return math.max(0, allowed - sum)

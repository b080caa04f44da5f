-- One step of a quota that accepts `limit` requests and then refuses everybody for `blockMs`, counted from the last accept.
-- Applies what became of earlier permits, turns the epoch if its time has come, and grants up to `want` new permits.
-- Checks before it writes; a step that changes nothing writes nothing.
--
-- KEYS[1]   the provider's hash, see keys.ts
-- ARGV[1]   test clock in ms; '' uses the server's own TIME, the only clock of the engine
-- ARGV[2]   pod id
-- ARGV[3]   sequence number of this pod's step; the same number again gets the same permits again
-- ARGV[4]   permits wanted
-- ARGV[5]   limit
-- ARGV[6]   blockMs
-- ARGV[7]   guardMs: added to blockMs for clock drift between us and the provider
-- ARGV[8]   holdMs: an unsettled permit counts as unknown this long after it was granted
-- ARGV[9]   what a missing hash means to a pod that has seen none: 'blocked' or 'fresh'
-- ARGV[10]  highest epoch this pod has seen, 0 for none
-- ARGV[11…] settlements, 8 numbers each: epoch, generation, accepted, notSent, unknown, refused,
--           ageMs of the latest answer, ms the provider asked us to stay away (-1: it did not say)
--
-- Returns {granted, epoch, generation, state, waitMs, used, limit, event}
--   generation  of the permits: it goes up when unsettled permits are given up, so that one settled later is known
--   state  0 open, 1 spent (all granted, some not settled), 2 blocked
--   waitMs until it opens: exact when blocked; when spent, if its permits settled now
--   event  0 none, 1 became blocked, 2 reopened, 3 the hash was missing or older than what the pod knows

local OPEN, SPENT, BLOCKED = 0, 1, 2
local SILENT_POD_MS = 600000
-- A provider that asks for more than a week is not believed.
local LONGEST_STAY_MS = 604800000
-- How soon to ask again when a block is over but for requests still on their way.
local LAST_ANSWER_MS = 20
local FIELDS = { 'epoch', 'granted', 'accepted', 'refunded', 'refused', 'unknown', 'blockedUntilMs', 'lastAnswerMs',
  'expiresMs', 'generation', 'probation', 'gap', 'clockMs', 'clockShiftMs' }

local key, podField = KEYS[1], 'pod:' .. ARGV[2]
local seq, want, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local blockMs, holdMs = tonumber(ARGV[6]), tonumber(ARGV[8])
local closedMs = blockMs + tonumber(ARGV[7])
local knownEpoch = tonumber(ARGV[10])

local stored = redis.call('HMGET', key, podField, unpack(FIELDS))
local podRecord = table.remove(stored, 1)
local q = {}
for i, field in ipairs(FIELDS) do q[field] = tonumber(stored[i] or 0) end

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local changed, event, granted = false, 0, 0

-- A clock that was set back goes on from where it was: no deadline moves away.
now = now + q.clockShiftMs
if now < q.clockMs then
  q.clockShiftMs = q.clockShiftMs + q.clockMs - now
  now, changed = q.clockMs, true
end

local function used() return q.granted - q.refunded end
-- The guard of policy.ts, on what a provider asks for.
local function guarded(ms)
  return math.min(ms, LONGEST_STAY_MS) + math.ceil(math.min(ms, LONGEST_STAY_MS) * 2e-4) + 2
end

local function outstanding() return used() - q.accepted - q.refused - q.unknown end

local function start(epoch, probation)
  local clockShiftMs = q.clockShiftMs
  for _, field in ipairs(FIELDS) do q[field] = 0 end
  q.epoch, q.probation, q.clockShiftMs = epoch, probation, clockShiftMs
  changed = true
end

-- A missing hash, or one older than what a pod has seen, must never look like a fresh quota.
if q.epoch == 0 or knownEpoch > q.epoch then
  -- Windows turn more slowly than milliseconds pass: an epoch higher than any, also those this pod has not seen.
  start(math.max(knownEpoch + 1, q.epoch + 1, now), 0)
  local isFirst = ARGV[9] == 'fresh' and knownEpoch == 0
  if not isFirst then
    -- As if all had been sent and nothing were known of it: the provider may be blocked, or have any number left.
    -- What was granted before may still be on its way, and begin the provider's block as late as that.
    q.granted, q.unknown, q.blockedUntilMs = limit, limit, now + holdMs + closedMs
  end
  podRecord, event = false, isFirst and 0 or 3
end

local lastSeq, lastEpoch, lastGeneration, lastGranted = string.match(podRecord or '', '^(%d+):(%d+):(%d+):(%d+):')
local repeated = lastSeq and seq <= tonumber(lastSeq)

if not repeated then
  for i = 11, #ARGV, 8 do
    -- A window that is over is the provider's past: nothing of it is credited to this one.
    if tonumber(ARGV[i]) == q.epoch then
      local isGivenUp = tonumber(ARGV[i + 1]) < q.generation
      local accepted, notSent = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
      local unknown, refused = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
      local answeredMs, stayAwayMs = now - tonumber(ARGV[i + 6]), tonumber(ARGV[i + 7])
      -- Once blocked, a slot given back can no longer be used: it counts as unknown.
      if q.blockedUntilMs > 0 then notSent, unknown = 0, unknown + notSent end
      -- A long pause while the window was being proven: the provider may have turned in between.
      local isProving = q.probation > 0 and q.accepted > 0 and q.accepted <= q.probation
      if isProving and accepted > 0 and answeredMs - q.lastAnswerMs >= blockMs / 2 then q.gap = 1 end
      if isGivenUp then
        -- They were counted as unknown already: now it is known what became of them.
        q.unknown = math.max(0, q.unknown - accepted - notSent - refused)
      else
        q.unknown = q.unknown + unknown
      end
      q.accepted, q.refunded, q.refused = q.accepted + accepted, q.refunded + notSent, q.refused + refused
      if accepted + unknown > 0 then q.lastAnswerMs = math.max(q.lastAnswerMs, answeredMs) end
      -- Accepted after it was given up: the block began later than was thought.
      if isGivenUp and accepted > 0 and q.blockedUntilMs > 0 then
        q.blockedUntilMs = math.max(q.blockedUntilMs, q.lastAnswerMs + closedMs)
      end
      if refused > 0 then
        if q.blockedUntilMs == 0 then event = 1 end
        q.blockedUntilMs = math.max(q.blockedUntilMs, answeredMs + (stayAwayMs >= 0 and guarded(stayAwayMs) or closedMs))
      end
      changed = true
    end
  end
end

-- A settlement applied twice, by a pod silent for so long that its number was forgotten: count what it says as granted.
if outstanding() < 0 then
  q.granted = q.granted - outstanding()
  changed = true
end

-- Permits nobody settled in time: their pods are gone, the provider may have counted them until then.
if outstanding() > 0 and now >= q.expiresMs then
  q.unknown = q.unknown + outstanding()
  q.lastAnswerMs = math.max(q.lastAnswerMs, q.expiresMs)
  q.generation = q.generation + 1
  changed = true
end

if q.blockedUntilMs == 0 and used() >= limit and outstanding() == 0 then
  q.blockedUntilMs = q.lastAnswerMs + closedMs
  event, changed = 1, true
end

-- Not with requests of this window on their way: they would arrive in the next.
if q.blockedUntilMs > 0 and now >= q.blockedUntilMs and outstanding() == 0 then
  -- A refusal proves that the provider did block, so the window after it is new for certain.
  -- Without one, each unknown may be a request the provider never counted, and a slot still open in its old window.
  local doubt = math.min(limit, q.unknown + q.gap * q.probation)
  start(q.epoch + 1, q.refused > 0 and 0 or doubt)
  if event ~= 3 then event = 2 end
end

local function grantable()
  if q.blockedUntilMs > 0 then return 0 end
  local free = math.max(0, limit - used())
  -- One at a time, until more were accepted than slots the old window can have had left.
  local proven = q.probation == 0 or q.accepted > q.probation + q.unknown
  if proven then return free end
  return outstanding() == 0 and math.min(1, free) or 0
end

local generation = q.generation
if repeated then
  if seq == tonumber(lastSeq) and tonumber(lastEpoch) == q.epoch then
    granted, generation = tonumber(lastGranted), tonumber(lastGeneration)
  end
else
  granted = math.min(want, grantable())
  if granted > 0 then
    q.granted, q.expiresMs = q.granted + granted, now + holdMs
    changed = true
  end
end

local function dropSilentPods()
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local seenMs = string.match(all[i], '^pod:') and string.match(all[i + 1], ':(%d+)$')
    if seenMs and tonumber(seenMs) < now - SILENT_POD_MS then redis.call('HDEL', key, all[i]) end
  end
end

if changed then
  q.clockMs = now
  local write = {}
  for _, field in ipairs(FIELDS) do
    write[#write + 1] = field
    write[#write + 1] = string.format('%.0f', q[field])
  end
  if not repeated then
    if not podRecord then dropSilentPods() end
    write[#write + 1] = podField
    write[#write + 1] = string.format('%.0f:%.0f:%.0f:%.0f:%.0f', seq, q.epoch, generation, granted, now)
  end
  redis.call('HSET', key, unpack(write))
end

local state, waitMs = OPEN, 0
if q.blockedUntilMs > 0 then
  state, waitMs = BLOCKED, q.blockedUntilMs > now and q.blockedUntilMs - now or LAST_ANSWER_MS
elseif grantable() == 0 then
  state, waitMs = SPENT, closedMs
end
return { granted, q.epoch, generation, state, waitMs, used(), limit, event }

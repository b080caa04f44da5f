-- One step of a provider's quota: applies what became of earlier permits, lets time pass, and grants up to `want` new
-- permits. Checks before it writes; a step that changes nothing writes nothing. How the provider counts is the policy's
-- business: one of the files beside this one stands in for the line `--@policy`.
--
-- KEYS[1]   the provider's hash, see keys.ts
-- ARGV[1]   test clock in ms; '' uses the server's own TIME, the only clock of the engine
-- ARGV[2]   pod id
-- ARGV[3]   sequence number of this pod's step; the same number again gets the same permits again
-- ARGV[4]   permits wanted
-- ARGV[5]   how the provider counts; one that changes it is one that nothing is known of
-- ARGV[6]   limit
-- ARGV[7]   periodMs: length of a block or a window, or the time one token takes to come back
-- ARGV[8]   guardMs: for clock drift between us and the provider over a period
-- ARGV[9]   the policy's option, see its file
-- ARGV[10]  holdMs: an unsettled permit counts as unknown this long after it was granted
-- ARGV[11]  what a missing hash means to a pod that has seen none: 'blocked' or 'fresh'
-- ARGV[12]  highest epoch this pod has seen, 0 for none
-- ARGV[13]  how long this pod remembers the quota to stay blocked, in ms; 0 for not at all
-- ARGV[14]  number of this pod's last step that was recorded, 0 for none
-- ARGV[15]  which server this is, as far as the pod knows: its run id
-- ARGV[16…] settlements, 12 numbers each: epoch, generation, accepted, notSent, unknown, refused, ageMs of the latest
--           answer; and what the provider said, -1 where it did not: ms to stay away, requests remaining, when the request
--           that was told so was granted, by our clock, ms until its window ends, its limit
--
-- Returns {granted, epoch, generation, state, waitMs, used, limit, event, recorded, foreign, grantedMs}
--   generation  of the permits: it goes up when unsettled permits are given up, so that one settled later is known
--   state     0 open, 1 spent (only a settlement or the time opens it), 2 blocked (only the time)
--   waitMs    until it opens: exact when blocked; when spent, if its permits settled now
--   event     0 none, 1 became blocked, 2 reopened, 3 the hash was missing or older than what the pod knows
--   recorded  1 if the hash holds this step's number
--   foreign   requests of somebody else that this step learned of
--   grantedMs when the permits were granted, by our clock: settlements bring it back, for nothing was sent before

local OPEN, SPENT, BLOCKED = 0, 1, 2
local SETTLEMENTS, SETTLEMENT_SIZE = 16, 12
local SILENT_POD_MS = 600000
-- How long another server's count is not trusted: pods that know more say so as soon as they are connected.
local HEARING_MS = 250
-- A provider that asks for more than a week is not believed.
local LONGEST_STAY_MS = 604800000
-- Providers round what they say to whole seconds, up or down.
local ROUNDING_MS = 1000

local key, podField, kind = KEYS[1], 'pod:' .. ARGV[2], ARGV[5]
local seq, want, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[6])
local periodMs, guardMs, option, holdMs = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local knownEpoch, knownWaitMs, recordedSeq = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local closedMs = periodMs + guardMs
local q, now, serverMs, isSetBack = {}, 0, 0, false
local changed, event, foreign = false, 0, 0

local function outstanding() return q.granted - q.refunded - q.accepted - q.refused - q.unknown end

-- Whether only the time opens it. A slot may be given back as well while something is on its way, but to ask for it is not
-- worth a trip for each message when time brings one soon.
local function isTimed(waitMs) return outstanding() == 0 or waitMs <= holdMs end

-- The guard of policy.ts, on what a provider asks for.
local function guarded(ms)
  local believed = math.min(ms, LONGEST_STAY_MS)
  return believed + math.ceil(believed * 2e-4) + 2
end

-- How long to stay away after a refusal. `modelMs` is the longest the policy can mean; a provider is only believed to
-- mean more when rounding cannot explain it, and to mean less until that proves wrong.
local function stayMs(saidMs, modelMs)
  if saidMs < 0 then return modelMs end
  if saidMs - ROUNDING_MS > modelMs then return guarded(saidMs + ROUNDING_MS) end
  return q.staysFull == 1 and modelMs or math.min(saidMs + ROUNDING_MS, modelMs)
end

local function refuse(s, modelMs)
  if q.blockedUntilMs == 0 then event = 1 end
  -- It said to come back sooner than the policy has it, and refuses whoever does.
  if q.cameSooner == 1 and q.accepted == 0 then q.staysFull = 1 end
  local awayMs = stayMs(s.stayAwayMs, modelMs)
  if s.answeredMs + awayMs <= q.blockedUntilMs then return end
  q.blockedUntilMs, q.isSooner = s.answeredMs + awayMs, awayMs < modelMs and 1 or 0
end

-- How many the provider has counted, of ours and of others. Answers may be told in another order than they were given
-- in, but of a window it never gets less.
local function countedBy(s)
  q.counted = math.max(q.counted, limit - s.remaining)
  return q.counted
end

-- Of the unknown, no more reached the provider than it has counted beside those it has accepted, if it was said when none of
-- them could be on its way any more. What it accepted without saying how many it has may have come later.
local function resolveUnknown(counted)
  local lost = math.max(0, math.min(q.unknown, q.accepted - q.untold + q.unknown - counted))
  q.refunded, q.unknown = q.refunded + lost, q.unknown - lost
  if outstanding() > 0 then return end
  local proven = math.max(0, math.min(q.unknown, counted - q.accepted))
  q.accepted, q.unknown = q.accepted + proven, q.unknown - proven
end

-- What a policy need not say: nothing more to store, to prepare or to change, and a refusal that is over is forgotten.
local policy = { fields = {}, kept = {} }
for _, name in ipairs({ 'begin', 'rescale', 'changeLimit', 'settleOlder', 'grant' }) do policy[name] = function() end end

function policy.advance()
  if q.blockedUntilMs == 0 or now < q.blockedUntilMs then return end
  q.blockedUntilMs, changed = 0, true
  if event == 0 then event = 2 end
end

local FIELDS = { 'epoch', 'granted', 'accepted', 'refunded', 'refused', 'unknown', 'blockedUntilMs', 'lastAnswerMs',
  'unknownMs', 'expiresMs', 'agesMs', 'old', 'generation', 'isSooner', 'cameSooner', 'isLimitTold', 'counted',
  'untold' }
-- What outlives a window.
local KEPT = { 'opensMs', 'limit', 'learnedLimit', 'periodMs', 'clockMs', 'clockShiftMs', 'staysFull' }

local function start(epoch)
  -- A smaller limit that is not told any more is none.
  local isUntold = q.learnedLimit > 0 and q.learnedLimit < q.limit and q.accepted > 0 and q.isLimitTold == 0
  if isUntold then q.learnedLimit, limit = 0, q.limit end
  local cameSooner = q.refused > 0 and q.isSooner or 0
  for _, field in ipairs(FIELDS) do q[field] = 0 end
  q.epoch, q.slots, q.cameSooner, changed = epoch, '', cameSooner, true
end

--@policy

for _, field in ipairs(policy.fields) do FIELDS[#FIELDS + 1] = field end
for _, field in ipairs(policy.kept) do KEPT[#KEPT + 1] = field end
local ALL = { unpack(FIELDS) }
for _, field in ipairs(KEPT) do ALL[#ALL + 1] = field end
local stored = redis.call('HMGET', key, podField, 'kind', 'slots', 'server', unpack(ALL))
local podRecord, storedKind, storedServer = stored[1], stored[2], stored[4]
q.slots = stored[3] or ''
local before = { slots = q.slots }
for i, field in ipairs(ALL) do
  q[field] = tonumber(stored[i + 4] or 0)
  before[field] = q[field]
end

now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
serverMs = now
-- A clock that was set back goes on from where it was: no deadline moves away.
now = now + q.clockShiftMs
if now < q.clockMs then
  q.clockShiftMs = q.clockShiftMs + q.clockMs - now
  now, changed, isSetBack = q.clockMs, true, true
end

-- A new configuration: what the provider announced is to be learned again, the count goes on.
if q.limit ~= limit or q.periodMs ~= periodMs then
  if q.periodMs > 0 and q.periodMs ~= periodMs then policy.rescale(q.periodMs) end
  if q.limit > 0 and q.limit ~= limit then policy.changeLimit(q.limit) end
  q.limit, q.learnedLimit, q.periodMs, changed = limit, 0, periodMs, q.epoch > 0
end
if q.learnedLimit > 0 then limit = q.learnedLimit end

local lastSeq, lastEpoch, lastGeneration, lastGranted, lastMs =
  string.match(podRecord or '', '^(%d+):(%d+):(%d+):(%d+):(%d+)')
-- A missing hash, or one older than what a pod has seen, must never look like a fresh quota. A pod that knows an older
-- epoch only has nothing that the hash lacks.
local isOlder = knownEpoch > q.epoch or knownEpoch == q.epoch and recordedSeq > tonumber(lastSeq or 0)
local isOther = storedKind and storedKind ~= kind
if q.epoch == 0 or isOlder or isOther then
  local isFirst = ARGV[11] == 'fresh' and knownEpoch == 0 and recordedSeq == 0 and not isOther
  -- Windows turn more slowly than milliseconds pass: an epoch higher than any, also those this pod has not seen.
  start(math.max(knownEpoch + 1, q.epoch + 1, now))
  if not isFirst then policy.forget() end
  lastSeq, podRecord, event = nil, false, isFirst and 0 or 3
end
local isOtherServer = ARGV[15] ~= '' and storedServer ~= ARGV[15]
if isOtherServer then
  if storedServer then q.opensMs = math.max(q.opensMs, now + HEARING_MS) end
  changed = true
end
local repeated = lastSeq and seq <= tonumber(lastSeq)

local function standing()
  local state, waitMs = OPEN, 0
  if policy.grantable() == 0 then state, waitMs = policy.closed() end
  if now >= q.opensMs then return state, waitMs end
  return BLOCKED, math.max(state == BLOCKED and waitMs or 0, q.opensMs - now)
end

-- What this pod remembers of a block counts as much as what the hash says of it.
if knownWaitMs > 0 and knownEpoch >= q.epoch - 1 then
  local state, waitMs = standing()
  if state ~= BLOCKED or waitMs < knownWaitMs then q.opensMs, changed = now + knownWaitMs, true end
end

policy.begin()

local function settlementAt(i)
  local function number(offset) return tonumber(ARGV[i + offset]) end
  return { epoch = number(0), generation = number(1), isGivenUp = number(1) < q.generation - 1,
    accepted = number(2), notSent = number(3), unknown = number(4), refused = number(5), answeredMs = now - number(6), stayAwayMs = number(7),
    remaining = number(8), sentMs = number(9), resetMs = number(10), limit = number(11) }
end

local function learnLimit(said)
  if said <= 0 or q.learnedLimit < 0 then return end
  q.isLimitTold = 1
  if said == limit then return end
  q.learnedLimit = said ~= q.limit and said or 0
  limit = said
end

if not repeated then
  for i = SETTLEMENTS, #ARGV, SETTLEMENT_SIZE do
    local s = settlementAt(i)
    -- A window that is over is the provider's past: nothing of it is credited to this one.
    if s.epoch ~= q.epoch then
      policy.settleOlder(s)
    else
      changed = true
      if s.isGivenUp then
        -- They were counted as unknown already: now it is known what became of them.
        s.unknown = 0
        for _, outcome in ipairs({ 'accepted', 'notSent', 'refused' }) do
          s[outcome] = math.min(s[outcome], q.unknown)
          q.unknown = q.unknown - s[outcome]
        end
      end
      if s.generation == q.generation - 1 then
        q.old = math.max(0, q.old - s.accepted - s.notSent - s.unknown - s.refused)
      end
      s.lastAnswerMs = q.lastAnswerMs
      q.accepted, q.refunded = q.accepted + s.accepted, q.refunded + s.notSent
      q.refused, q.unknown = q.refused + s.refused, q.unknown + s.unknown
      -- Settled twice, by a pod silent for so long that its number was forgotten: count what it says as granted.
      if outstanding() < 0 then q.granted = q.granted - outstanding() end
      if s.accepted + s.unknown > 0 then q.lastAnswerMs = math.max(q.lastAnswerMs, s.answeredMs) end
      if s.unknown > 0 then q.unknownMs = math.max(q.unknownMs, s.answeredMs) end
      learnLimit(s.limit)
      -- It announced more than it gave: its word is not taken again.
      local isBroken = s.refused > 0 and limit > q.limit and q.accepted <= q.limit and not policy.mustRefuse
      if isBroken then limit, q.learnedLimit = q.limit, -1 end
      policy.settle(s)
      local isTold = s.remaining >= 0 and s.remaining <= limit and s.sentMs >= now - holdMs
      if isTold then policy.observe(s) else q.untold = q.untold + s.accepted end
    end
  end
end

-- Permits nobody settled in time: their pods are gone, the provider may have counted them until then. In two cohorts, as
-- some quotas never pause: those that were there when the others came are given up when the others grow old.
if outstanding() > 0 and now >= q.agesMs then
  local isAll = now >= q.expiresMs
  local givenUp, atMs = isAll and outstanding() or math.min(q.old, outstanding()), isAll and q.expiresMs or q.agesMs
  q.unknown, q.generation = q.unknown + givenUp, q.generation + (isAll and 2 or 1)
  q.old, q.agesMs, changed = outstanding(), q.expiresMs, true
  if givenUp > 0 then
    q.lastAnswerMs, q.unknownMs = math.max(q.lastAnswerMs, atMs), math.max(q.unknownMs, atMs)
    policy.giveUp(givenUp, atMs)
  end
end

policy.advance()

local function grantable() return now < q.opensMs and 0 or policy.grantable() end

local granted, generation, grantedMs = 0, q.generation, now
if repeated then
  if seq == tonumber(lastSeq) and tonumber(lastEpoch) == q.epoch then
    granted, generation, grantedMs = tonumber(lastGranted), tonumber(lastGeneration), tonumber(lastMs)
  end
else
  granted = math.min(want, grantable())
  if granted > 0 then
    policy.grant(granted)
    if outstanding() == 0 then q.old, q.agesMs = 0, now + holdMs end
    q.granted, q.expiresMs = q.granted + granted, math.max(q.expiresMs, now + holdMs)
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
  local write = { 'clockMs', string.format('%.0f', now) }
  local function note(field, value)
    write[#write + 1], write[#write + 2] = field, value
  end
  for _, field in ipairs(ALL) do
    -- Tokens come back in fractions of a millisecond.
    local format = q[field] % 1 == 0 and '%.0f' or '%.3f'
    if q[field] ~= before[field] then note(field, string.format(format, q[field])) end
  end
  if q.slots ~= before.slots then note('slots', q.slots) end
  if storedKind ~= kind then note('kind', kind) end
  if isOtherServer then note('server', ARGV[15]) end
  if not repeated then
    if not podRecord then dropSilentPods() end
    note(podField, string.format('%.0f:%.0f:%.0f:%.0f:%.0f', seq, q.epoch, generation, granted, now))
  end
  redis.call('HSET', key, unpack(write))
end

local state, waitMs = standing()
local isRecorded = repeated and seq == tonumber(lastSeq) or changed and not repeated
local recorded = isRecorded and 1 or 0
return { granted, q.epoch, generation, state, math.ceil(waitMs), policy.used(), limit, event, recorded, foreign,
  grantedMs }

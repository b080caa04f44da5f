-- One step of a provider's quota: applies the settlements of earlier permits, lets time pass, and grants up to `want` new
-- permits. Checks before it writes; a step that changes nothing writes nothing. How the provider counts is in the policy
-- files beside this one: the policy's file replaces the line `--@policy`.
--
-- KEYS[1]   the provider's hash, see keys.ts
-- ARGV[1]   test clock in ms; '' uses the server's own TIME, the only clock of the engine
-- ARGV[2]   pod id
-- ARGV[3]   sequence number of this pod's step; a retry with the same number gets the same permits
-- ARGV[4]   permits wanted
-- ARGV[5]   kind: how the provider counts; when it changes, the stored count is worthless
-- ARGV[6]   limit
-- ARGV[7]   periodMs: length of a block or a window. For a token bucket the time in which one token returns, unlike
--           periodMsOf in policy.ts, which is the time in which the whole bucket refills
-- ARGV[8]   guardMs: for clock drift between Redis and the provider over a period
-- ARGV[9]   the policy's option, see its file; for calendar windows '<option>|<starts of windows, Unix time in ms>'
-- ARGV[10]  holdMs: an unsettled permit times out, and counts as unknown, this long after its grant at the earliest
-- ARGV[11]  what a missing hash means to a pod that has seen none: 'blocked' or 'fresh'
-- ARGV[12]  highest epoch this pod has seen, 0 for none
-- ARGV[13]  how long this pod knows the quota to stay blocked, in ms; 0 if it does not know of a block
-- ARGV[14]  number of this pod's last recorded step, 0 for none
-- ARGV[15]  run id of the server as the pod knows it, '' when unknown
-- ARGV[16] what a journal knows to have been sent, for a forgotten quota: '=' and 'age in ms:requests:epoch,…', latest first;
--           epoch is 0 where the journal has none; '' if this step brings no answer of the journal
-- ARGV[17] least: fewer permits than this are of no use to any caller; more than 1 only where amounts are counted
-- ARGV[18] 1 if the quota counts amounts, which are estimates until their requests are settled
-- ARGV[19…] groups of settlements, 14 numbers each: epoch, generation, accepted, notSent, unknown, refused, age of the
--           latest answer in ms; then announced by the provider, -1 if it was not: Retry-After in ms, requests remaining,
--           when the request with that answer was granted (Redis clock), ms until its window ends, its limit; how long
--           to hold the account back because of a limit that is not this quota; and what requests used beyond their permits
--
-- Returns {granted, epoch, generation, state, waitMs, used, limit, event, recorded, foreign, grantedMs, windowEndsInMs,
--   isHeld, serverMs, recallInMs, source}
--   generation  of the permits: increases when unsettled permits time out, so that late settlements are recognized
--   state     0 open, 1 spent (a settlement or time opens it), 2 blocked (only time opens it)
--   waitMs    until it opens: exact when blocked; when spent, assuming that its permits settle now
--   event     0 none, 1 became blocked, 2 reopened, 3 the hash was missing or older than what the pod knows, 4 rebuilt
--   recorded  1 if the hash has this step's number
--   foreign   requests of other clients that this step learned of
--   grantedMs when the permits were granted (Redis clock). Settlements bring it back: nothing was sent earlier
--   windowEndsInMs  how long the slots of this window can still be used; -1 where no window has begun, or none ends
--   serverMs  the server's clock, for calendars
--   isHeld    1 while the account is held back after a refusal that this quota does not explain
--   recallInMs  for a forgotten quota: when what was sent before is certainly over, so that a journal may be asked; -1 otherwise
--   source    how `used` is known in this epoch: 0 counted, 1 announced by the provider, 2 rebuilt from a journal
--
-- Outstanding permits form an older and a younger cohort. At `agesMs` the older one times out, and the younger one becomes
-- the older. There are two, because some quotas never pause.
--
-- Fields of the hash, in `q`; all times on the Redis clock in ms, 0 for none. Those of one epoch:
--   epoch, generation            see above
--   granted, refunded            permits; those given back unused
--   accepted, refused, unknown   what became of the others. Permits neither settled nor timed out are outstanding
--   blockedUntilMs               end of the block
--   lastAnswerMs, unknownMs      the latest answer or timeout, and the latest of an unknown
--   old                          number of outstanding permits in the older cohort
--   agesMs                       when the older cohort times out
--   expiresMs                    when the latest permit times out, and with it both cohorts
--   isSooner                     1 if the provider's Retry-After ends the block of this epoch sooner than the policy does
--   cameSooner                   isSooner of the epoch before, if the provider refused a request in it
--   isLimitTold                  1 once the provider has announced a limit
--   counted                      the most requests that the provider announced to have counted
--   untold                       accepted requests whose answer did not announce what remains
--   ahead                        of an amount: what announcements told of permits in flight, beyond their estimates
--   forgottenMs                  when this epoch replaced a count that was lost
--   isRebuilt                    1 if its count began with what a journal knew
-- Those that outlive an epoch:
--   opensMs                      grants nothing earlier: what a pod knows of a block, or a new server
--   limit, periodMs              as configured. The Lua variable `limit`, without `q.`, is the limit in force
--   learnedLimit                 the limit in force if the provider announced it; 0 none, -1 announced limits proved wrong
--   clockMs, clockShiftMs        time of the last change; what was added to the server's clock after it was set back
--   staysFull                    1 once a shorter Retry-After has proved wrong
--   holds, heldMs                refusals in a row that the count does not explain, and the time of the last one
--   namedHolds                   how many of them named a wait, since a probe was last accepted
--   isProbing                    1 from such a refusal until a request is accepted: one request at a time finds out
--   refusedWindows               epochs in a row in which the provider refused requests and accepted none
-- Besides: kind, server, slots (see sliding-window.lua), and `pod:<id>`, the last recorded step of a pod, as
-- 'seq:epoch:generation:granted:ms'.

local OPEN, SPENT, BLOCKED = 0, 1, 2
local SETTLEMENTS, SETTLEMENT_SIZE = 19, 14
local SILENT_POD_MS = 600000
-- How long a new server grants nothing: pods that know more than it report as soon as they are connected.
local RECONCILE_MS = 250
-- A Retry-After of more than a week is cut to a week.
local LONGEST_RETRY_AFTER_MS = 604800000
-- How long the account is held back after a refusal that the count does not explain; each further one doubles it, up to the
-- period, and at least to 8 s.
local FIRST_HOLD_MS, HOLD_CAP_MIN_MS, HOLD_CAP_MAX_MS = 1000, 8000, 3600000
-- A wait fits a period of at most this many times its length.
local FITTING_PERIODS = 10
-- How soon to ask again while the answer to a probe is outstanding.
local PROBE_ANSWER_MS = 100
-- Providers round announced times to whole seconds, up or down.
local ROUNDING_MS = 1000
-- The policy's functions and properties, see below.
local policy

local key, podField, kind = KEYS[1], 'pod:' .. ARGV[2], ARGV[5]
local seq, want, limit, least = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[6]), tonumber(ARGV[17])
local periodMs, guardMs, holdMs = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[10])
local option = tonumber(ARGV[9]) or tonumber(string.match(ARGV[9], '^[^|]*'))
local knownEpoch, knownWaitMs, recordedSeq = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local guardedPeriodMs = periodMs + guardMs
local q, now, serverMs, isSetBack = {}, 0, 0, false
local changed, event, foreign = false, 0, 0

local function outstanding() return q.granted - q.refunded - q.accepted - q.refused - q.unknown end

-- Whether to report a closed quota as blocked, so that pods do not ask again before waitMs. An outstanding permit may give
-- back a slot earlier, but that is not worth a trip for each message when time opens the quota soon.
local function opensByTime(waitMs) return outstanding() == 0 or waitMs <= holdMs end

-- Adds the guard of policy.ts to an announced time.
local function guarded(ms)
  local bounded = math.min(ms, LONGEST_RETRY_AFTER_MS)
  return bounded + math.ceil(bounded * 2e-4) + 2
end

-- How long to wait after a refusal. `longestMs` is the longest wait that the policy allows. A provider is believed to mean
-- a longer one only if rounding cannot explain the difference, and a shorter one until that proves wrong.
local function waitAfterRefusalMs(retryAfterMs, longestMs)
  if retryAfterMs < 0 then return longestMs end
  if retryAfterMs - ROUNDING_MS > longestMs then return guarded(retryAfterMs + ROUNDING_MS) end
  return q.staysFull == 1 and longestMs or math.min(retryAfterMs + ROUNDING_MS, longestMs)
end

local function blockAfterRefusal(s, longestMs)
  if q.blockedUntilMs == 0 then event = 1 end
  -- The pods came back as early as the provider announced, and were refused again.
  if q.cameSooner == 1 and q.accepted == 0 then q.staysFull = 1 end
  local waitMs = waitAfterRefusalMs(s.retryAfterMs, longestMs)
  if s.answeredMs + waitMs <= q.blockedUntilMs then return end
  q.blockedUntilMs, q.isSooner = s.answeredMs + waitMs, waitMs < longestMs and 1 or 0
end

-- Whether the provider may have refused because of this quota: it is nearly used up, or the wait is about as long as its
-- period. Without a wait, the block is the likelier cause once more than half of a count-then-block quota is used.
local function isExplained(s)
  if policy.needsRefusal or policy.explainsAll then return true end
  local used = policy.used() + (policy.forgetsRefused and s.refused or 0)
  -- Requests in flight may use twice their estimates.
  if ARGV[18] == '1' then used = used + outstanding() end
  if policy.goesOn(s) then return false end
  if used >= 0.9 * limit then return true end
  if s.retryAfterMs >= 0 then return policy.wholePeriodMs() <= FITTING_PERIODS * (s.retryAfterMs + ROUNDING_MS) end
  return policy.isBlock and used * 2 > limit
end

-- After a refusal that the count does not explain: the count stays, and nothing is granted for a while.
local function holdBack(s)
  q.refused, q.refunded = q.refused - s.refused, q.refunded + s.refused
  s.refused = 0
  -- The other requests that were under way say nothing new.
  if q.isProbing == 1 and now < q.opensMs then return end
  local capMs = math.min(HOLD_CAP_MAX_MS, math.max(HOLD_CAP_MIN_MS, policy.wholePeriodMs()))
  if now - q.heldMs > 2 * capMs then q.holds = 0 end
  local waitMs = math.min(FIRST_HOLD_MS * 2 ^ q.holds, capMs)
  if s.retryAfterMs >= 0 then
    local repeatedMs = q.namedHolds > 0 and math.min(FIRST_HOLD_MS * 2 ^ q.namedHolds, capMs) or 0
    waitMs, q.namedHolds = math.max(guarded(s.retryAfterMs), repeatedMs), math.min(q.namedHolds + 1, 30)
  end
  q.holds, q.heldMs, q.isProbing = math.min(q.holds + 1, 30), now, 1
  -- The next window has room again.
  q.opensMs = math.max(q.opensMs, math.min(now + math.max(500, waitMs), policy.endsByMs()))
end

-- How many requests the provider has counted, ours and others. Answers may be reported out of order, but within a window
-- this number never decreases.
local function countedByProvider(s)
  q.counted = math.max(q.counted, limit - s.remaining)
  return q.counted
end

-- At most counted − accepted of the unknown requests reached the provider, if `counted` was announced for a request granted
-- after every unknown request had timed out. Accepted requests that announced nothing may have come after that one.
local function resolveUnknown(counted)
  local neverArrived = math.max(0, math.min(q.unknown, q.accepted - q.untold + q.unknown - counted))
  q.refunded, q.unknown = q.refunded + neverArrived, q.unknown - neverArrived
  if outstanding() > 0 then return end
  local arrived = math.max(0, math.min(q.unknown, counted - q.accepted))
  q.accepted, q.unknown = q.accepted + arrived, q.unknown - arrived
end

-- Defaults of a policy: no fields of its own, and nothing to do in these functions. A policy that can use what a journal knows
-- has `recall(sent)`: requests in groups of `count`, latest first, which the provider had counted by `atMs`,
-- with permits of `epoch`, 0 where it is unknown.
local function nothing() end
policy = { fields = {}, kept = {}, beforeSettlements = nothing, rescale = nothing, changeLimit = nothing,
  settleOlderEpoch = nothing, noteGrant = nothing }

function policy.windowEndsInMs() return -1 end

-- Whether the quota is certain to go on after a refusal, so that it must be about another limit.
function policy.goesOn() return false end

-- The latest time at which the window ends, where a clock says so.
function policy.endsByMs() return math.huge end

function policy.wholePeriodMs() return periodMs end

-- By default a refusal only closes the quota until its time is over.
function policy.advance()
  if q.blockedUntilMs == 0 or now < q.blockedUntilMs then return end
  q.blockedUntilMs, changed = 0, true
  if event == 0 then event = 2 end
end

-- EPOCH_FIELDS start at 0 in each epoch; the policy's `fields` join them below. FIELDS outlive an epoch; the policy's
-- `kept` fields join them. EPOCH_FIELDS join FIELDS last, so that FIELDS names all that a step reads and writes.
local EPOCH_FIELDS = { 'epoch', 'granted', 'accepted', 'refunded', 'refused', 'unknown', 'blockedUntilMs', 'lastAnswerMs',
  'unknownMs', 'expiresMs', 'agesMs', 'old', 'generation', 'isSooner', 'cameSooner', 'isLimitTold', 'counted',
  'untold', 'ahead', 'forgottenMs', 'isRebuilt' }
local FIELDS = { 'opensMs', 'limit', 'learnedLimit', 'periodMs', 'clockMs', 'clockShiftMs', 'staysFull', 'holds', 'heldMs',
  'namedHolds', 'isProbing', 'refusedWindows' }

local function startEpoch(epoch)
  -- A smaller announced limit that the provider no longer announces is void.
  local isVoid = q.learnedLimit > 0 and q.learnedLimit < q.limit and q.accepted > 0 and q.isLimitTold == 0
  if isVoid then q.learnedLimit, limit = 0, q.limit end
  local cameSooner = q.refused > 0 and q.isSooner or 0
  if q.accepted > 0 then q.refusedWindows, q.holds, q.namedHolds = 0, 0, 0 elseif q.refused > 0 then q.refusedWindows = q.refusedWindows + 1 end
  if q.refusedWindows > 0 then q.isProbing = 1 end
  for _, field in ipairs(EPOCH_FIELDS) do q[field] = 0 end
  q.epoch, q.slots, q.cameSooner, changed = epoch, '', cameSooner, true
end

--@policy

for _, field in ipairs(policy.kept) do FIELDS[#FIELDS + 1] = field end
for _, field in ipairs(policy.fields) do EPOCH_FIELDS[#EPOCH_FIELDS + 1] = field end
for _, field in ipairs(EPOCH_FIELDS) do FIELDS[#FIELDS + 1] = field end

local stored = redis.call('HMGET', key, podField, 'kind', 'slots', 'server', unpack(FIELDS))
local podRecord, storedKind, storedServer = stored[1], stored[2], stored[4]
q.slots = stored[3] or ''
local before = { slots = q.slots }
for i, field in ipairs(FIELDS) do
  q[field] = tonumber(stored[i + 4] or 0)
  before[field] = q[field]
end
local lastSeq, lastEpoch, lastGeneration, lastGranted, lastMs =
  string.match(podRecord or '', '^(%d+):(%d+):(%d+):(%d+):(%d+)')
lastSeq = tonumber(lastSeq)
-- Whether this step was applied before, and whether the hash has its number.
local isRepeated, isRecorded = false, false

local function isProbeUnderWay() return q.isProbing == 1 and outstanding() > 0 end

local function stateAndWait()
  local state, waitMs = OPEN, 0
  local free = policy.grantable()
  if free < math.min(least, limit) then
    state, waitMs = policy.closedState()
    -- There is room for smaller requests.
    if free > 0 then state = SPENT end
  elseif isProbeUnderWay() then
    state, waitMs = SPENT, PROBE_ANSWER_MS
  end
  if now >= q.opensMs then return state, waitMs end
  return BLOCKED, math.max(state == BLOCKED and waitMs or 0, q.opensMs - now)
end

local function grantable()
  if now < q.opensMs or isProbeUnderWay() then return 0 end
  return q.isProbing == 1 and math.min(least, policy.grantable()) or policy.grantable()
end

local function settlementAt(i)
  local function number(offset) return tonumber(ARGV[i + offset]) end
  return { epoch = number(0), generation = number(1), isTimedOut = number(1) < q.generation - 1,
    accepted = number(2), notSent = number(3), unknown = number(4), refused = number(5), answeredMs = now - number(6),
    retryAfterMs = number(7), remaining = number(8), grantedMs = number(9), resetMs = number(10), limit = number(11), heldForMs = number(12),
    charged = number(13) }
end

local function learnLimit(announced)
  if announced <= 0 or q.learnedLimit < 0 then return end
  q.isLimitTold = 1
  if announced == limit then return end
  q.learnedLimit = announced ~= q.limit and announced or 0
  limit = announced
end

-- `s` here and in the policies: one group of settlements.
local function settle(s)
  changed = true
  if s.isTimedOut then
    -- These permits were counted as unknown when they timed out: now it is known what became of them.
    s.unknown = 0
    for _, outcome in ipairs({ 'accepted', 'notSent', 'refused' }) do
      s[outcome] = math.min(s[outcome], q.unknown)
      q.unknown = q.unknown - s[outcome]
    end
  end
  if s.generation == q.generation - 1 then
    q.old = math.max(0, q.old - s.accepted - s.notSent - s.unknown - s.refused)
  end
  local told = math.min(s.charged, q.ahead)
  q.ahead, s.charged = q.ahead - told, s.charged - told
  q.granted, s.accepted = q.granted + s.charged, s.accepted + s.charged
  s.lastAnswerMs = q.lastAnswerMs
  q.accepted, q.refunded = q.accepted + s.accepted, q.refunded + s.notSent
  q.refused, q.unknown = q.refused + s.refused, q.unknown + s.unknown
  -- A pod silent for so long that its record was dropped may settle twice: count the surplus as granted.
  if outstanding() < 0 then q.granted = q.granted - outstanding() end
  if s.accepted + s.unknown > 0 then q.lastAnswerMs = math.max(q.lastAnswerMs, s.answeredMs) end
  if s.unknown > 0 then q.unknownMs = math.max(q.unknownMs, s.answeredMs) end
  if s.heldForMs >= 0 then q.opensMs = math.max(q.opensMs, s.answeredMs + guarded(s.heldForMs + ROUNDING_MS)) end
  -- Not by an answer to a request that was under way before the hold.
  if s.accepted > 0 and q.isProbing == 1 and now >= q.opensMs then q.isProbing, q.namedHolds = 0, 0 end
  learnLimit(s.limit)
  -- The provider refused before the limit it announced: do not believe its limits again.
  local isBroken = s.refused > 0 and limit > q.limit and q.accepted <= q.limit and not policy.needsRefusal
  if isBroken then limit, q.learnedLimit = q.limit, -1 end
  if s.refused > 0 and not isExplained(s) then holdBack(s) end
  policy.settle(s)
  local hasRemaining = s.remaining >= 0 and s.remaining <= limit and s.grantedMs >= now - holdMs
  local foreignBefore = foreign
  if hasRemaining then policy.applyRemaining(s) else q.untold = q.untold + s.accepted end
  if ARGV[18] == '1' and outstanding() > 0 then
    q.ahead, foreign = q.ahead + foreign - foreignBefore, foreignBefore
  else
    q.ahead = 0
  end
end

local function dropSilentPods()
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local seenMs = string.match(all[i], '^pod:') and string.match(all[i + 1], ':(%d+)$')
    if seenMs and tonumber(seenMs) < now - SILENT_POD_MS then redis.call('HDEL', key, all[i]) end
  end
end

-- From here on the step itself. It is not cut into more functions: each closure costs every step about 0.4 µs. Tests insert
-- faults at the next line, which override functions and values above.
--@faults

-- 1. The clock. Set back, it continues from where it was: no deadline moves away.
serverMs = tonumber(ARGV[1])
if not serverMs then
  local time = redis.call('TIME')
  serverMs = time[1] * 1000 + math.floor(time[2] / 1000)
end
now = serverMs + q.clockShiftMs
if now < q.clockMs then
  q.clockShiftMs = q.clockShiftMs + q.clockMs - now
  now, changed, isSetBack = q.clockMs, true, true
end

-- 2. The configuration. A new one keeps the count; what the provider announced must be learned again.
if q.limit ~= limit or q.periodMs ~= periodMs then
  if q.periodMs > 0 and q.periodMs ~= periodMs then policy.rescale(q.periodMs) end
  if q.limit > 0 and q.limit ~= limit then policy.changeLimit(q.limit) end
  q.limit, q.learnedLimit, q.periodMs, changed = limit, 0, periodMs, q.epoch > 0
end
if q.learnedLimit > 0 then limit = q.learnedLimit end

-- 3. A missing hash, or one older than what a pod has seen, must never look like a fresh quota. A pod that knows only an older
-- epoch knows nothing that the hash lacks.
local isOlder = knownEpoch > q.epoch or knownEpoch == q.epoch and recordedSeq > (lastSeq or 0)
local isOtherKind = storedKind and storedKind ~= kind
if q.epoch == 0 or isOlder or isOtherKind then
  local isFirst = ARGV[11] == 'fresh' and knownEpoch == 0 and recordedSeq == 0 and not isOtherKind
  -- Windows turn more slowly than milliseconds pass: this epoch is higher than any, also those this pod has not seen.
  startEpoch(math.max(knownEpoch + 1, q.epoch + 1, now))
  if not isFirst then
    policy.assumeForgotten()
    q.forgottenMs = now
  end
  lastSeq, podRecord, event = nil, false, isFirst and 0 or 3
end

-- 4. Another server may have an older count: pods that know more get time to report it.
local isOtherServer = ARGV[15] ~= '' and storedServer ~= ARGV[15]
if isOtherServer then
  if storedServer then q.opensMs = math.max(q.opensMs, now + RECONCILE_MS) end
  changed = true
end

-- 5. A block that this pod knows counts as much as one in the hash.
if knownWaitMs > 0 and knownEpoch >= q.epoch - 1 then
  local state, waitMs = stateAndWait()
  if state ~= BLOCKED or waitMs < knownWaitMs then q.opensMs, changed = now + knownWaitMs, true end
end

-- 6. What a journal knows replaces what was assumed of a forgotten quota, once nothing from before the loss is under way, and
-- until time alone opens the quota. An epoch is skipped: to the pods, the block of the epoch before is void.
local recallInMs, isRebuilt = -1, false
if q.forgottenMs > 0 and policy.recall and now < q.forgottenMs + holdMs + policy.wholePeriodMs() + guardMs then
  recallInMs = math.max(0, q.forgottenMs + holdMs - now)
end
if recallInMs == 0 and ARGV[16] ~= '' then
  local sent = {}
  for ageMs, count, epoch in string.gmatch(ARGV[16], '(%d+):(%d+):(%d+)') do
    sent[#sent + 1] = { atMs = now - tonumber(ageMs), count = tonumber(count), epoch = tonumber(epoch) }
  end
  startEpoch(q.epoch + 2)
  q.isRebuilt, isRebuilt = 1, true
  policy.recall(sent)
end

-- 7. Settlements, once.
isRepeated = lastSeq and seq <= lastSeq
policy.beforeSettlements()
if not isRepeated then
  for i = SETTLEMENTS, #ARGV, SETTLEMENT_SIZE do
    local s = settlementAt(i)
    -- By default a settlement of an older epoch changes nothing. Fixed windows take carried requests back: they free the slot
    -- of a request that only the older epoch counted.
    if s.epoch == q.epoch then settle(s) else policy.settleOlderEpoch(s) end
  end
end

-- 8. Permits not settled in time: their pods are gone, and the provider may have counted the requests until then. At agesMs
-- the older cohort times out, and the younger one becomes the older; at expiresMs both time out.
if outstanding() > 0 and now >= q.agesMs then
  local isAll = now >= q.expiresMs
  local count, atMs = isAll and outstanding() or math.min(q.old, outstanding()), isAll and q.expiresMs or q.agesMs
  q.unknown, q.generation = q.unknown + count, q.generation + (isAll and 2 or 1)
  q.old, q.agesMs, changed = outstanding(), q.expiresMs, true
  if count > 0 then
    q.lastAnswerMs, q.unknownMs = math.max(q.lastAnswerMs, atMs), math.max(q.unknownMs, atMs)
    policy.timeOut(count, atMs)
  end
end

policy.advance()
if isRebuilt then event = 4 end

-- 9. New permits; for a resent step the same as before, unless their epoch is over.
local granted, generation, grantedMs = 0, q.generation, now
if isRepeated then
  if seq == lastSeq and tonumber(lastEpoch) == q.epoch then
    granted, generation, grantedMs = tonumber(lastGranted), tonumber(lastGeneration), tonumber(lastMs)
  end
else
  granted = math.min(want, grantable())
  if granted < math.min(least, limit) then granted = 0 end
  if granted > 0 then
    policy.noteGrant(granted)
    if outstanding() == 0 then q.old, q.agesMs = 0, now + holdMs end
    q.granted, q.expiresMs = q.granted + granted, math.max(q.expiresMs, now + holdMs)
    changed = true
  end
end

-- 10. What changed.
if changed then
  local write = { 'clockMs', string.format('%.0f', now) }
  local function set(field, value)
    write[#write + 1], write[#write + 2] = field, value
  end
  for _, field in ipairs(FIELDS) do
    -- Tokens return in fractions of a millisecond.
    local format = q[field] % 1 == 0 and '%.0f' or '%.3f'
    if q[field] ~= before[field] then set(field, string.format(format, q[field])) end
  end
  if q.slots ~= before.slots then set('slots', q.slots) end
  if storedKind ~= kind then set('kind', kind) end
  if isOtherServer then set('server', ARGV[15]) end
  if not isRepeated then
    if not podRecord then dropSilentPods() end
    set(podField, string.format('%.0f:%.0f:%.0f:%.0f:%.0f', seq, q.epoch, generation, granted, now))
  end
  redis.call('HSET', key, unpack(write))
end

if isRepeated then isRecorded = seq == lastSeq else isRecorded = changed end
local state, waitMs = stateAndWait()
return { granted, q.epoch, generation, state, math.ceil(waitMs), policy.used(), limit, event, isRecorded and 1 or 0,
  foreign, grantedMs, math.floor(policy.windowEndsInMs()), q.isProbing == 1 and now < q.opensMs and 1 or 0,
  serverMs, q.forgottenMs > 0 and recallInMs or -1, q.isRebuilt == 1 and 2 or q.counted > 0 and 1 or 0 }

-- Accepts `limit` requests in every window of `periodMs`. A window starts with the first request it accepts (option -1), or
-- at each multiple of its length since 1970 by a clock that differs from ours by at most `option` ms, or at the starts of
-- windows that the pod computes from a calendar: they are times on the server's clock, whatever the pod's clock shows.
-- Only the provider knows when exactly it started: a request in flight when it may have ended counts in both windows. Such a
-- request is carried: the next epoch starts with it as unknown, and frees its slot if its answer shows that only the previous
-- window counted it.
--   beganMinMs         earliest time at which the window started; 0 while unknown
--   beganMaxMs         latest time at which the window started; 0 while unknown
--   hasAnswer          1 once beganMaxMs is the time of the window's first accepted answer, 0 while it is an estimate
--   tookMs             how long that answer took at most
--   firstMs            when the first request of the window was granted
--   isEnding           1 from the first step at which the window may have ended
--   carried            how many requests of this window the next one may have counted: the next one's carried requests
--   carriedGeneration  generation of this window's carried requests, in the epoch they come from
--   carriedLeft        how many carried requests are not settled yet
--   carriedAnsweredMs  the last answer to a carried request
--   carriedUntilMs     no carried request is in flight from this time on
--   toldMs             when the latest request was granted whose answer announced what remains
--   isTold             1 once the event `blocked` was reported
--   isEarlier          1 if this window ends earlier than assumed, because the provider announced it
--   wasEarlier         1 if that was so in the window before
--   lengthMs           of a calendar window, 0 for others
--   resetLies          1 once such an announcement proved wrong
policy.kept = { 'resetLies' }
policy.fields = { 'carriedGeneration', 'carriedLeft', 'carriedUntilMs', 'isEarlier', 'wasEarlier', 'beganMinMs',
  'beganMaxMs', 'hasAnswer', 'tookMs', 'isEnding', 'carried', 'isTold', 'carriedAnsweredMs', 'toldMs', 'firstMs',
  'lengthMs' }

-- Reset while the window is unused: nothing is known about when it starts.
local UNKNOWN_WHILE_UNUSED =
  { 'lengthMs', 'beganMinMs', 'beganMaxMs', 'hasAnswer', 'tookMs', 'firstMs', 'isEnding', 'carried', 'counted', 'toldMs' }

local isClock = option >= 0
-- Starts of calendar windows, ascending; nil for other windows.
local starts = nil
if not tonumber(ARGV[9]) then
  starts = {}
  for startMs in string.gmatch(string.match(ARGV[9], '|(.*)'), '[^,]+') do starts[#starts + 1] = tonumber(startMs) end
end
-- How soon to ask again when the pod computed windows of another time. The reply tells it the server's.
local OTHER_TIME_MS = 20
local driftMs = isClock and 0 or guardMs

function policy.used() return q.granted - q.refunded end

local function lengthMs() return q.lengthMs > 0 and q.lengthMs or periodMs end
local function endsEarliestMs() return q.beganMinMs + lengthMs() - driftMs end
local function endsLatestMs() return q.beganMaxMs + lengthMs() + driftMs end

-- Early enough for answers that take as long as the first one.
local function isClosing() return q.beganMinMs > 0 and now >= endsEarliestMs() - q.tookMs end

-- The time from which no unknown request that this window may have counted is in flight.
local function lastUnknownMs() return math.max(q.unknownMs, q.carriedUntilMs) end

local function isOtherTime() return starts and (serverMs < starts[1] or serverMs >= starts[#starts]) end

-- Start and end of the window by the clock at a time on the server's clock.
local function clockWindowAt(ms)
  if not starts then return ms - ms % periodMs, ms - ms % periodMs + periodMs end
  for i = #starts - 1, 1, -1 do
    if ms >= starts[i] then return starts[i], starts[i + 1] end
  end
  return starts[1], starts[2]
end

local function followClock()
  local startMs, endMs = clockWindowAt(serverMs)
  local beganMs = now - serverMs + startMs
  q.beganMinMs, q.beganMaxMs, q.lengthMs = beganMs - option, beganMs + option, starts and endMs - startMs or 0
end

-- Permits granted before the loss may still be in flight, and start a window as late as holdMs from now, or be counted in the
-- one that the clock begins by then.
function policy.assumeForgotten()
  q.blockedUntilMs = now + holdMs + guardedPeriodMs
  if not isClock then return end
  local _, endMs = clockWindowAt(serverMs + holdMs + option)
  q.blockedUntilMs = math.max(now + holdMs, now - serverMs + endMs + option)
end

-- By a clock, what may have been counted since the window began. Otherwise the window began with one of the requests of the
-- last period: all of them are counted, and it ends late enough for the latest.
function policy.recall(sent)
  if isClock then followClock() end
  local sinceMs, count = isClock and q.beganMinMs or now - guardedPeriodMs, 0
  for _, request in ipairs(sent) do
    if request.atMs < sinceMs then break end
    count, q.lastAnswerMs = count + request.count, math.max(q.lastAnswerMs, request.atMs)
    if not isClock then q.beganMinMs = request.atMs - holdMs end
  end
  q.granted, q.accepted = math.min(count, limit), math.min(count, limit)
  if not isClock then q.beganMaxMs = q.lastAnswerMs end
end

function policy.beforeSettlements()
  if q.beganMinMs == 0 or q.isEnding == 1 then return end
  -- How long the clock stood still is unknown: the window may end at any time now.
  if isSetBack then q.beganMinMs = math.min(q.beganMinMs, now - lengthMs() + driftMs) end
  if now < endsEarliestMs() then return end
  -- Unknown requests and carried requests may still be in flight.
  local strays = 0
  if q.unknownMs >= endsEarliestMs() then
    strays = q.unknown
  elseif q.carriedUntilMs >= endsEarliestMs() then
    strays = math.min(q.unknown, q.carriedLeft)
  end
  q.isEnding, q.carried, changed = 1, outstanding() + strays, true
end

-- The window had started by `atMs`: by then a request had been accepted (isAnswer), or had become unknown.
local function noteBegan(atMs, isAnswer)
  if isClock then return end
  if isAnswer and (q.hasAnswer == 0 or atMs < q.beganMaxMs) then
    q.beganMaxMs, q.hasAnswer, q.tookMs = atMs, 1, math.max(0, atMs - math.max(q.beganMinMs, q.firstMs))
  elseif not isAnswer and q.hasAnswer == 0 then
    q.beganMaxMs = math.max(q.beganMaxMs, atMs)
  end
end

-- Follows the end that the provider announced, if rounding cannot explain the difference to the assumed end.
local function applyReset(s)
  if s.resetMs < 0 or s.resetMs > guardedPeriodMs + ROUNDING_MS or q.beganMaxMs == 0 then return end
  -- A calendar knows better than an answer in whole seconds.
  if starts then return end
  -- It may already be the end of the next window.
  if q.isEnding == 1 then return end
  -- Sent before this window had certainly started: it may be the end of the previous window.
  if s.grantedMs < q.beganMaxMs and (isClock or q.unknown > 0) then return end
  local earliestMs = s.grantedMs + s.resetMs - ROUNDING_MS
  local latestMs = s.answeredMs + math.min(s.resetMs + ROUNDING_MS, guardedPeriodMs)
  if latestMs >= endsEarliestMs() and earliestMs <= endsLatestMs() then return end
  if latestMs < endsEarliestMs() then
    if q.resetLies == 1 then return end
    q.isEarlier = 1
  end
  q.beganMinMs, q.beganMaxMs = earliestMs - lengthMs() + driftMs, latestMs - lengthMs() - driftMs
end

function policy.settle(s)
  if s.accepted > 0 then noteBegan(s.answeredMs, true) end
  if s.unknown > 0 then noteBegan(s.answeredMs, false) end
  if q.isEnding == 1 and not s.isTimedOut then
    local countedHere = s.answeredMs < endsEarliestMs() and s.accepted or 0
    q.carried = math.max(0, q.carried - s.notSent - countedHere)
  end
  applyReset(s)
  if s.refused > 0 then
    local isEndKnown = q.beganMaxMs > 0 and endsLatestMs() > s.answeredMs
    local longestMs = isEndKnown and endsLatestMs() - s.answeredMs or guardedPeriodMs
    if q.wasEarlier == 1 then q.resetLies = 1 end
    blockAfterRefusal(s, longestMs)
  end
end

-- Another client started the window: its age follows from its announced end, or is unknown.
local function noteBeganEarlier(s)
  local endsEarliest = s.resetMs >= 0 and s.grantedMs + s.resetMs - ROUNDING_MS or now
  q.beganMinMs = math.min(q.beganMinMs, endsEarliest - periodMs + driftMs)
end

-- A carried request may turn out to belong to the previous window only: its slot returns to this one.
function policy.settleOlderEpoch(s)
  local isCarried = q.carriedLeft > 0 and s.epoch == q.epoch - 1 and s.generation >= q.carriedGeneration - 1
  if not isCarried then return end
  q.carriedLeft, changed = math.max(0, q.carriedLeft - s.accepted - s.notSent - s.unknown - s.refused), true
  q.carriedAnsweredMs = math.max(q.carriedAnsweredMs, s.answeredMs)
  if q.carriedLeft == 0 then q.carriedUntilMs = math.min(q.carriedUntilMs, q.carriedAnsweredMs) end
  local notCountedHere = s.notSent + (s.answeredMs < q.beganMinMs and s.accepted or 0)
  local givenBack = math.min(q.unknown, notCountedHere)
  q.unknown, q.refunded = q.unknown - givenBack, q.refunded + givenBack
end

function policy.applyRemaining(s)
  local counted = countedByProvider(s)
  local more = counted - policy.used()
  if more > 0 then
    if q.accepted - q.untold == s.accepted and not isClock then noteBeganEarlier(s) end
    q.granted, q.accepted, foreign = q.granted + more, q.accepted + more, foreign + more
  end
  if q.isEnding == 1 then return end
  q.toldMs = math.max(q.toldMs, s.grantedMs)
  -- The first request of its window: the previous window counted the carried requests.
  local isFirst = s.remaining == limit - 1 and outstanding() == 0 and s.grantedMs >= lastUnknownMs()
  if isFirst and not isClock then q.beganMinMs = math.max(q.beganMinMs, s.grantedMs) end
end

-- A window by the clock ends at its time. Another window may end sooner than assumed: a request of another client began it.
function policy.goesOn(s)
  if s.retryAfterMs < 0 or q.beganMinMs == 0 or (q.beganMaxMs == 0 and not isClock) then return false end
  local fitting = isClock and 1 or FITTING_PERIODS
  return endsEarliestMs() - s.answeredMs > fitting * (s.retryAfterMs + ROUNDING_MS)
end

function policy.endsByMs() return isClock and q.beganMinMs > 0 and endsLatestMs() or math.huge end

function policy.timeOut(_, atMs) noteBegan(atMs, false) end

local function turn(carried)
  local wasBlocked, beganMs = q.isTold == 1 or q.blockedUntilMs > 0, endsEarliestMs()
  local settledByMs = outstanding() > 0 and math.max(now, q.expiresMs) or now
  -- Carried requests of the ending window that are still in flight are no longer tracked one by one.
  local left = q.carriedUntilMs > now and 1e9 or outstanding()
  settledByMs = math.max(settledByMs, q.carriedUntilMs)
  local wasEarlier, generation, lastAnswerMs = q.isEarlier, q.generation, math.max(q.lastAnswerMs, lastUnknownMs())
  startEpoch(q.epoch + 1)
  q.wasEarlier = wasEarlier
  if wasBlocked and event ~= 3 then event = 2 end
  if carried == 0 then return end
  q.carriedGeneration, q.carriedLeft, q.carriedAnsweredMs = generation, left, lastAnswerMs
  q.carriedUntilMs = left > 0 and settledByMs or lastAnswerMs
  q.granted, q.unknown, q.beganMinMs, q.beganMaxMs = carried, carried, beganMs, settledByMs
  if isClock then followClock() end
end

local function turnIfOver()
  if q.beganMaxMs == 0 or now < endsLatestMs() then return end
  -- Carried requests no longer matter a whole window after the last of them was settled.
  local isPast = outstanding() == 0 and now >= math.max(q.lastAnswerMs, lastUnknownMs()) + guardedPeriodMs
  turn(isPast and 0 or q.carried)
end

local function resolveUnknownByRemaining()
  if q.unknown == 0 or q.isEnding == 1 or q.toldMs < lastUnknownMs() then return end
  local unknownBefore = q.unknown
  resolveUnknown(q.counted)
  changed = changed or q.unknown ~= unknownBefore
end

function policy.advance()
  -- Not while requests of a refused window are outstanding: their window would be unknown.
  if q.blockedUntilMs > 0 then
    if now >= q.blockedUntilMs and outstanding() == 0 then turn(0) end
    return
  end
  turnIfOver()
  resolveUnknownByRemaining()
  -- A slot is used, but no step noted its grant: the window may have started at any time, so it may end at any time.
  if policy.used() > 0 and q.beganMinMs == 0 then
    q.beganMinMs = now - periodMs + driftMs
    if isClock then followClock() end
  end
  if policy.used() == 0 then
    for _, field in ipairs(UNKNOWN_WHILE_UNUSED) do q[field] = 0 end
  end
  if q.isTold == 0 and policy.used() >= limit and outstanding() == 0 then
    q.isTold, changed = 1, true
    if event == 0 then event = 1 end
  end
end

-- What may arrive in the next clock window counts in both windows. Where a request starts the window, nothing is granted at
-- its end: such a request would start the next window at an unknown time.
function policy.grantable()
  if isOtherTime() then return 0 end
  if q.blockedUntilMs > 0 or isClosing() and not isClock then return 0 end
  local free = math.max(0, limit - policy.used())
  -- The provider announced a time before its window can have ended: one request finds out whether it has.
  if q.cameSooner == 1 and q.accepted == 0 then return outstanding() == 0 and math.min(least, free) or 0 end
  return free
end

-- After this time slots may belong to the next window.
function policy.windowEndsInMs()
  return q.beganMinMs == 0 and -1 or math.max(0, endsEarliestMs() - q.tookMs - now)
end

function policy.noteGrant(count)
  if q.isEnding == 1 then q.carried = q.carried + count end
  if q.firstMs == 0 then q.firstMs = now end
  if q.beganMinMs > 0 then return end
  if isClock then followClock() else q.beganMinMs = now end
end

function policy.closedState()
  if isOtherTime() then return BLOCKED, OTHER_TIME_MS end
  if q.blockedUntilMs == 0 and q.beganMaxMs == 0 then return SPENT, guardedPeriodMs end
  local untilMs = q.blockedUntilMs > 0 and q.blockedUntilMs or endsLatestMs()
  -- Carried requests may still turn out to belong to the previous window.
  local isExact = outstanding() == 0 and (q.carriedLeft == 0 or now >= q.carriedUntilMs)
  local opensByTime = isExact or isClosing() and q.blockedUntilMs == 0 and q.hasAnswer == 1
  return opensByTime and BLOCKED or SPENT, math.max(1, untilMs - now)
end

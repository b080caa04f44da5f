-- Accepts `limit` requests in every window of `periodMs`. A window begins with the first request it accepts (option -1),
-- or at each multiple of its length since 1970 by a clock that may be `option` ms apart from ours.
-- When exactly it began only the provider knows: what is on its way when it may have ended counts in both windows.
--   beganMinMs, beganMaxMs  it began between these moments; 0 while that is not known
--   hasAnswer               1 once beganMaxMs is when its first accepted answer came, 0 while that is a guess
--   tookMs                  how long that answer took at most; firstMs: when the first request of ours was granted
--   isEnding                1 from the first step at which it may have ended
--   carried                 requests that the next window may have counted
--   carriedGeneration       the generation they were of, in the window they were carried into
--   carriedLeft             how many of them were not told of yet; carriedAnsweredMs: the last answer to the others
--   carriedUntilMs          none of them is on its way any more then
--   toldMs                  when a request was sent whose answer said how many the provider has counted
--   isTold                  1 once it was said that it is spent
--   isEarlier               1 if it ends earlier than we thought because the provider said so, wasEarlier: if the one before did
--   resetLies               1 once that proved wrong
policy.kept = { 'resetLies' }
policy.fields = { 'carriedGeneration', 'carriedLeft', 'carriedUntilMs', 'isEarlier', 'wasEarlier', 'beganMinMs',
  'beganMaxMs', 'hasAnswer', 'tookMs', 'isEnding', 'carried', 'isTold', 'carriedAnsweredMs', 'toldMs', 'firstMs' }

-- Nothing of it holds for a window that nobody has used.
local OF_USE = { 'beganMinMs', 'beganMaxMs', 'hasAnswer', 'tookMs', 'firstMs', 'isEnding', 'carried', 'counted', 'toldMs' }

local isClock = option >= 0
local driftMs = isClock and 0 or guardMs

function policy.used() return q.granted - q.refunded end

local function endsEarliestMs() return q.beganMinMs + periodMs - driftMs end
local function endsLatestMs() return q.beganMaxMs + periodMs + driftMs end

-- Early enough for answers that take as long as its first one took.
local function isClosing() return q.beganMinMs > 0 and now >= endsEarliestMs() - q.tookMs end

-- From then on none of those that this window may have counted is on its way.
local function lastUnknownMs() return math.max(q.unknownMs, q.carriedUntilMs) end

local function followClock()
  local beganMs = now - serverMs % periodMs
  q.beganMinMs, q.beganMaxMs = beganMs - option, beganMs + option
end

-- What was granted before may still be on its way, and begin a window as late as that.
function policy.forget() q.blockedUntilMs = now + holdMs + closedMs end

function policy.begin()
  if q.beganMinMs == 0 or q.isEnding == 1 then return end
  -- Nobody knows for how long the clock stood still: it may end at any time now.
  if isSetBack then q.beganMinMs = math.min(q.beganMinMs, now - periodMs + driftMs) end
  if now < endsEarliestMs() then return end
  -- With those that were carried into it, if they may still be on their way.
  local strays = 0
  if q.unknownMs >= endsEarliestMs() then
    strays = q.unknown
  elseif q.carriedUntilMs >= endsEarliestMs() then
    strays = math.min(q.unknown, q.carriedLeft)
  end
  q.isEnding, q.carried, changed = 1, outstanding() + strays, true
end

local function beganBy(atMs, isAnswer)
  if isClock then return end
  if isAnswer and (q.hasAnswer == 0 or atMs < q.beganMaxMs) then
    q.beganMaxMs, q.hasAnswer, q.tookMs = atMs, 1, math.max(0, atMs - math.max(q.beganMinMs, q.firstMs))
  elseif not isAnswer and q.hasAnswer == 0 then
    q.beganMaxMs = math.max(q.beganMaxMs, atMs)
  end
end

-- What the provider says of the window's end, where rounding cannot make it agree with what we think.
local function believeReset(s)
  if s.resetMs < 0 or s.resetMs > closedMs + ROUNDING_MS or q.beganMaxMs == 0 then return end
  -- What is later may be the end of the next.
  if q.isEnding == 1 then return end
  -- What was sent before this one began for certain may have been told of the one before.
  if s.sentMs < q.beganMaxMs and (isClock or q.unknown > 0) then return end
  local earliestMs = s.sentMs + s.resetMs - ROUNDING_MS
  local latestMs = s.answeredMs + math.min(s.resetMs + ROUNDING_MS, closedMs)
  if latestMs >= endsEarliestMs() and earliestMs <= endsLatestMs() then return end
  if latestMs < endsEarliestMs() then
    if q.resetLies == 1 then return end
    q.isEarlier = 1
  end
  q.beganMinMs, q.beganMaxMs = earliestMs - periodMs + driftMs, latestMs - periodMs - driftMs
end

function policy.settle(s)
  if s.accepted > 0 then beganBy(s.answeredMs, true) end
  if s.unknown > 0 then beganBy(s.answeredMs, false) end
  if q.isEnding == 1 and not s.isGivenUp then
    local ofThisOne = s.answeredMs < endsEarliestMs() and s.accepted or 0
    q.carried = math.max(0, q.carried - s.notSent - ofThisOne)
  end
  believeReset(s)
  if s.refused > 0 then
    local isKnown = q.beganMaxMs > 0 and endsLatestMs() > s.answeredMs
    local longestMs = isKnown and endsLatestMs() - s.answeredMs or closedMs
    if q.wasEarlier == 1 then q.resetLies = 1 end
    refuse(s, longestMs)
  end
end

-- Somebody else was there first: the window is as old as its end tells, or any age.
local function beganEarlier(s)
  local endsEarliest = s.resetMs >= 0 and s.sentMs + s.resetMs - ROUNDING_MS or now
  q.beganMinMs = math.min(q.beganMinMs, endsEarliest - periodMs + driftMs)
end

-- It was carried into this window, and proves to be of the one before.
function policy.settleOlder(s)
  local isCarried = q.carriedLeft > 0 and s.epoch == q.epoch - 1 and s.generation >= q.carriedGeneration - 1
  if not isCarried then return end
  q.carriedLeft, changed = math.max(0, q.carriedLeft - s.accepted - s.notSent - s.unknown - s.refused), true
  q.carriedAnsweredMs = math.max(q.carriedAnsweredMs, s.answeredMs)
  if q.carriedLeft == 0 then q.carriedUntilMs = math.min(q.carriedUntilMs, q.carriedAnsweredMs) end
  local ofTheOther = s.notSent + (s.answeredMs < q.beganMinMs and s.accepted or 0)
  local back = math.min(q.unknown, ofTheOther)
  q.unknown, q.refunded = q.unknown - back, q.refunded + back
end

function policy.observe(s)
  local counted = countedBy(s)
  local more = counted - policy.used()
  if more > 0 then
    if q.accepted - q.untold == s.accepted and not isClock then beganEarlier(s) end
    q.granted, q.accepted, foreign = q.granted + more, q.accepted + more, foreign + more
  end
  if q.isEnding == 1 then return end
  q.toldMs = math.max(q.toldMs, s.sentMs)
  -- The very first of its window: what was carried into it was counted before.
  local isFirst = s.remaining == limit - 1 and outstanding() == 0 and s.sentMs >= lastUnknownMs()
  if isFirst and not isClock then q.beganMinMs = math.max(q.beganMinMs, s.sentMs) end
end

function policy.giveUp(_, atMs) beganBy(atMs, false) end

local function turn(carried)
  local wasTold, beganMs = q.isTold == 1 or q.blockedUntilMs > 0, endsEarliestMs()
  local settledByMs = outstanding() > 0 and math.max(now, q.expiresMs) or now
  -- Those that were carried into the window that ends, and are on their way still, nobody tells of any more.
  local left = q.carriedUntilMs > now and 1e9 or outstanding()
  settledByMs = math.max(settledByMs, q.carriedUntilMs)
  local wasEarlier, generation, lastAnswerMs = q.isEarlier, q.generation, math.max(q.lastAnswerMs, lastUnknownMs())
  start(q.epoch + 1)
  q.wasEarlier = wasEarlier
  if wasTold and event ~= 3 then event = 2 end
  if carried == 0 then return end
  q.carriedGeneration, q.carriedLeft, q.carriedAnsweredMs = generation, left, lastAnswerMs
  q.carriedUntilMs = left > 0 and settledByMs or lastAnswerMs
  q.granted, q.unknown, q.beganMinMs, q.beganMaxMs = carried, carried, beganMs, settledByMs
  if isClock then followClock() end
end

function policy.advance()
  -- Not with requests of a refused window on their way: nobody could say which one they belong to.
  if q.blockedUntilMs > 0 then
    if now >= q.blockedUntilMs and outstanding() == 0 then turn(0) end
    return
  end
  if q.beganMaxMs > 0 and now >= endsLatestMs() then
    -- A whole window after the last of them was settled none matters any more.
    local isPast = outstanding() == 0 and now >= math.max(q.lastAnswerMs, lastUnknownMs()) + closedMs
    turn(isPast and 0 or q.carried)
  end
  if q.unknown > 0 and q.isEnding == 0 and q.toldMs >= lastUnknownMs() then
    local before = q.unknown
    resolveUnknown(q.counted)
    changed = changed or q.unknown ~= before
  end
  -- Settled, but the grant is not known: it may have begun and end at any time.
  if policy.used() > 0 and q.beganMinMs == 0 then
    q.beganMinMs = now - periodMs + driftMs
    if isClock then followClock() end
  end
  if policy.used() == 0 then
    for _, field in ipairs(OF_USE) do q[field] = 0 end
  end
  if q.isTold == 0 and policy.used() >= limit and outstanding() == 0 then
    q.isTold, changed = 1, true
    if event == 0 then event = 1 end
  end
end

-- What may arrive in the next window by the clock counts in both. One that a request begins would begin nobody knows when.
function policy.grantable()
  if q.blockedUntilMs > 0 or isClosing() and not isClock then return 0 end
  local free = math.max(0, limit - policy.used())
  -- The provider has said to come back sooner than its window can have ended: one asks whether it has.
  if q.cameSooner == 1 and q.accepted == 0 then return outstanding() == 0 and math.min(1, free) or 0 end
  return free
end

function policy.grant(count)
  if q.isEnding == 1 then q.carried = q.carried + count end
  if q.firstMs == 0 then q.firstMs = now end
  if q.beganMinMs > 0 then return end
  if isClock then followClock() else q.beganMinMs = now end
end

function policy.closed()
  if q.blockedUntilMs == 0 and q.beganMaxMs == 0 then return SPENT, closedMs end
  local untilMs = q.blockedUntilMs > 0 and q.blockedUntilMs or endsLatestMs()
  -- Those that were carried into it may still be told of as of the one before.
  local isExact = outstanding() == 0 and (q.carriedLeft == 0 or now >= q.carriedUntilMs)
  local isOver = isExact or isClosing() and q.blockedUntilMs == 0 and q.hasAnswer == 1
  return isOver and BLOCKED or SPENT, math.max(1, untilMs - now)
end

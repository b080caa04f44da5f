-- Accepts `limit` requests, then refuses everybody for `periodMs`. The block is counted from the last accept (option 0),
-- or from the first refusal (option 1), which somebody has to run into: one grant more than the limit.
--   probation   requests that may still belong to the window before: unknowns it perhaps never counted
--   gap         1 if the window may have turned while that was being found out
--   saidUntilMs a block longer than configured, announced before it was run into
--   raisedFrom  a smaller limit that was configured in this window: the provider may not be blocked when that is used up
policy.fields = { 'probation', 'gap', 'saidUntilMs', 'raisedFrom' }

-- How soon to ask again when a block is over but for requests still on their way.
local LAST_ANSWER_MS = 20
-- What is told of a longer time is told of another limit, or in another unit.
local BELIEVED_PERIODS = 10
local startsAtRefusal = option == 1
policy.mustRefuse = startsAtRefusal

local function mostGrants() return startsAtRefusal and limit + 1 or limit end

function policy.used() return q.granted - q.refunded end

-- As if all had been sent and nothing were known of it: the provider may be blocked, or have any number left.
-- What was granted before may still be on its way, and begin the provider's block as late as that.
function policy.forget()
  q.granted, q.unknown, q.blockedUntilMs = limit, limit, now + holdMs + closedMs
end

function policy.rescale()
  local isOurOwn = q.blockedUntilMs > 0 and q.refused == 0 and q.saidUntilMs == 0 and q.lastAnswerMs > 0
  if isOurOwn then q.blockedUntilMs = q.lastAnswerMs + closedMs end
end

function policy.changeLimit(oldLimit)
  if limit < oldLimit then return end
  q.raisedFrom, q.probation = math.max(q.raisedFrom, oldLimit), math.max(q.probation, oldLimit)
end

function policy.settle(s)
  -- Once blocked, a slot given back can no longer be used: the provider may have it left.
  if q.blockedUntilMs > 0 then q.refunded, q.unknown = q.refunded - s.notSent, q.unknown + s.notSent end
  -- A long pause while the window was being proven: the provider may have turned in between.
  local before = q.accepted - s.accepted
  local isProving = q.probation > 0 and before > 0 and before <= q.probation
  if isProving and s.accepted > 0 and s.answeredMs - s.lastAnswerMs >= periodMs / 2 then q.gap = 1 end
  -- Accepted after it was given up: the block began later than was thought.
  if s.isGivenUp and s.accepted > 0 and q.blockedUntilMs > 0 then
    q.blockedUntilMs = math.max(q.blockedUntilMs, q.lastAnswerMs + closedMs)
  end
  local isLonger = s.resetMs - ROUNDING_MS > closedMs and s.resetMs < BELIEVED_PERIODS * closedMs
  if s.remaining == 0 and isLonger then
    q.saidUntilMs = math.max(q.saidUntilMs, s.answeredMs + guarded(s.resetMs + ROUNDING_MS))
  end
  if s.refused > 0 then refuse(s, closedMs) end
end

-- The provider counts more than we: somebody else uses the key, or an earlier window is still open. It counts less: some
-- of the unknown never reached it, if what it says was said when nothing else of ours could be on its way.
function policy.observe(s)
  -- What is told while the window is not certain may be of the one before.
  local counted = q.probation > 0 and limit - s.remaining or countedBy(s)
  local more = counted - policy.used()
  local isExact = outstanding() == 0 and s.sentMs >= q.unknownMs
  if more > 0 then
    q.granted, q.accepted = q.granted + more, q.accepted + more
    if q.probation == 0 then foreign = foreign + more end
  end
  if isExact and q.blockedUntilMs == 0 then
    resolveUnknown(counted)
    q.probation, q.gap, q.raisedFrom = 0, 0, 0
  end
end

function policy.giveUp() end

function policy.advance()
  if q.blockedUntilMs == 0 and not startsAtRefusal and policy.used() >= limit and outstanding() == 0 then
    q.blockedUntilMs = math.max(q.lastAnswerMs + closedMs, q.saidUntilMs)
    event, changed = 1, true
  end
  -- Not with requests of this window on their way: they would arrive in the next.
  if q.blockedUntilMs > 0 and now >= q.blockedUntilMs and outstanding() == 0 then
    -- A refusal proves that the provider did block, so the window after it is new for certain.
    -- Without one, each unknown may be a request the provider never counted, and a slot still open in its old window.
    local doubt = math.min(limit, math.max(q.unknown + q.gap * q.probation, q.raisedFrom))
    if q.refused > 0 then doubt = q.isSooner end
    start(q.epoch + 1)
    q.probation = doubt
    if event ~= 3 then event = 2 end
  end
end

function policy.grantable()
  if q.blockedUntilMs > 0 then return 0 end
  local free = math.max(0, mostGrants() - policy.used())
  local oneAtATime = outstanding() == 0 and 1 or 0
  -- All are accepted for all we know, and nobody was refused yet.
  if startsAtRefusal and free == 0 then return oneAtATime end
  -- One at a time, until more were accepted than slots the old window can have had left.
  local mayTurn = not startsAtRefusal or q.cameSooner == 1
  local proven = q.probation == 0 or (q.accepted > q.probation + q.unknown and mayTurn)
  return proven and free or math.min(free, oneAtATime)
end

function policy.closed()
  if q.blockedUntilMs == 0 then return SPENT, closedMs end
  return BLOCKED, q.blockedUntilMs > now and q.blockedUntilMs - now or LAST_ANSWER_MS
end

-- Accepts `limit` requests, then refuses all requests for `periodMs`. The block starts at the last accepted request (option
-- 0), or at the first refused one (option 1), for which one permit more than the limit is granted: the probe.
--   probation   how many slots the provider's previous window may still have open, for example because it did not count
--               unknown requests. Until more requests than that are accepted, the pods send one at a time
--   gap         1 if the previous window may have ended, and a new one begun, during the probation
--   saidUntilMs end of a block longer than configured, announced before it began
--   raisedFrom  the smaller limit that was configured earlier in this window: the provider may not block at the new limit
policy.fields = { 'probation', 'gap', 'saidUntilMs', 'raisedFrom' }

-- How soon to ask again when a block is over except for outstanding requests.
local LAST_ANSWER_MS = 20
-- An announced reset further away than this belongs to another limit, or has another unit.
local CREDIBLE_PERIODS = 10
local startsAtRefusal = option == 1
policy.needsRefusal, policy.isBlock = startsAtRefusal, true

local function maxGrants() return startsAtRefusal and limit + 1 or limit end

function policy.used() return q.granted - q.refunded end

-- As if all requests had been sent with unknown outcome: the provider may be blocked, or have any number left. Permits
-- granted before the loss may still be in flight, and start the provider's block as late as holdMs from now.
function policy.assumeForgotten()
  q.granted, q.unknown, q.blockedUntilMs = limit, limit, now + holdMs + guardedPeriodMs
end

-- A window ends when it is used up, so that the next one has the next epoch; a rebuilt count skips epochs within a window.
-- Where the journal has no epochs, the requests since the last pause of a block's length are of this window. It may be older
-- than they are, and have fewer slots left: the pods send one at a time.
function policy.recall(sent)
  local later = nil
  for _, request in ipairs(sent) do
    local isOfLastWindow = later and later.epoch - request.epoch == 1
    local isBeforeBlock = later and request.epoch == 0 and later.atMs - request.atMs >= periodMs
    if isOfLastWindow or isBeforeBlock then break end
    q.accepted, q.lastAnswerMs, later = q.accepted + request.count, math.max(q.lastAnswerMs, request.atMs), request
  end
  q.accepted = math.min(q.accepted, limit)
  q.granted, q.probation = q.accepted, sent[1] and sent[1].epoch > 0 and 0 or limit
end

function policy.rescale()
  local isFromAnswers = q.blockedUntilMs > 0 and q.refused == 0 and q.saidUntilMs == 0 and q.lastAnswerMs > 0
  if isFromAnswers then q.blockedUntilMs = q.lastAnswerMs + guardedPeriodMs end
end

function policy.changeLimit(oldLimit)
  if limit < oldLimit then return end
  q.raisedFrom, q.probation = math.max(q.raisedFrom, oldLimit), math.max(q.probation, oldLimit)
end

function policy.settle(s)
  -- A slot given back during a block can no longer be used, and the provider may have it left: count it as unknown.
  if q.blockedUntilMs > 0 then q.refunded, q.unknown = q.refunded - s.notSent, q.unknown + s.notSent end
  -- After a long pause during probation, the provider may have started a new window in between.
  local acceptedBefore = q.accepted - s.accepted
  local isOnProbation = q.probation > 0 and acceptedBefore > 0 and acceptedBefore <= q.probation
  if isOnProbation and s.accepted > 0 and s.answeredMs - s.lastAnswerMs >= periodMs / 2 then q.gap = 1 end
  -- Accepted after its permit had timed out: the block began later than assumed.
  if s.isTimedOut and s.accepted > 0 and q.blockedUntilMs > 0 then
    q.blockedUntilMs = math.max(q.blockedUntilMs, q.lastAnswerMs + guardedPeriodMs)
  end
  local isLonger = s.resetMs - ROUNDING_MS > guardedPeriodMs and s.resetMs < CREDIBLE_PERIODS * guardedPeriodMs
  if s.remaining == 0 and isLonger then
    q.saidUntilMs = math.max(q.saidUntilMs, s.answeredMs + guarded(s.resetMs + ROUNDING_MS))
  end
  if s.refused > 0 then blockAfterRefusal(s, guardedPeriodMs) end
end

-- The provider has counted more than Redis: another client uses the account, or an earlier window is still open. Or it has
-- counted less: unknown requests never arrived, if nothing else was in flight when the announcement was made.
function policy.applyRemaining(s)
  -- During probation the announcement may be about the previous window.
  local counted = q.probation > 0 and limit - s.remaining or countedByProvider(s)
  local more = counted - policy.used()
  local isExact = outstanding() == 0 and s.grantedMs >= q.unknownMs
  if more > 0 then
    q.granted, q.accepted = q.granted + more, q.accepted + more
    if q.probation == 0 then foreign = foreign + more end
  end
  if isExact and q.blockedUntilMs == 0 then
    resolveUnknown(counted)
    q.probation, q.gap, q.raisedFrom = 0, 0, 0
  end
end

function policy.timeOut() end

function policy.advance()
  if q.blockedUntilMs == 0 and not startsAtRefusal and policy.used() >= limit and outstanding() == 0 then
    q.blockedUntilMs = math.max(q.lastAnswerMs + guardedPeriodMs, q.saidUntilMs)
    event, changed = 1, true
  end
  -- Not while requests of this epoch are outstanding: they would arrive in the next window.
  if q.blockedUntilMs > 0 and now >= q.blockedUntilMs and outstanding() == 0 then
    -- A refusal proves that the provider did block, so that its next window is certainly new. Without a refusal, each
    -- unknown request may be one that the provider never counted, and a slot still open in its old window.
    local doubt = math.min(limit, math.max(q.unknown + q.gap * q.probation, q.raisedFrom))
    if q.refused > 0 then doubt = q.isSooner end
    startEpoch(q.epoch + 1)
    q.probation = doubt
    if event ~= 3 then event = 2 end
  end
end

function policy.grantable()
  if q.blockedUntilMs > 0 then return 0 end
  local free = math.max(0, maxGrants() - policy.used())
  local oneAtATime = outstanding() == 0 and least or 0
  -- As far as known all requests were accepted, and none was refused yet: probe again.
  if startsAtRefusal and free == 0 then return oneAtATime end
  -- One at a time, until more were accepted than the old window can have had slots left.
  local canProve = not startsAtRefusal or q.cameSooner == 1
  local isProven = q.probation == 0 or (q.accepted > q.probation + q.unknown and canProve)
  return isProven and free or math.min(free, oneAtATime)
end

function policy.closedState()
  if q.blockedUntilMs == 0 then return SPENT, guardedPeriodMs end
  return BLOCKED, q.blockedUntilMs > now and q.blockedUntilMs - now or LAST_ANSWER_MS
end

-- Accepts a request while fewer than `limit` are in flight. A slot is free again when its permit is settled or times out. The
-- epoch never changes.
policy.explainsAll = true

-- How soon to ask again when all slots are taken.
local SETTLES_MS = 20
-- After a refusal without a wait: the provider frees a slot later than its answer arrives, or another client uses it.
local REFUSED_MS = 500

function policy.used() return outstanding() end

-- Permits granted before the loss may still be in flight.
function policy.assumeForgotten() q.blockedUntilMs = now + holdMs end

function policy.settle(s)
  if s.refused > 0 then blockAfterRefusal(s, s.retryAfterMs >= 0 and s.retryAfterMs or REFUSED_MS) end
end

function policy.applyRemaining() end

function policy.timeOut() end

function policy.grantable() return q.blockedUntilMs > 0 and 0 or math.max(0, limit - outstanding()) end

function policy.closedState()
  if q.blockedUntilMs > 0 then return BLOCKED, q.blockedUntilMs - now end
  return SPENT, SETTLES_MS
end

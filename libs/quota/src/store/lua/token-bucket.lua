-- Each request takes a token from a bucket of `limit`; one token returns every `periodMs`. Counted as in the generic cell
-- rate algorithm (ITU-T I.371): fullMs is when the bucket is full again. Each request moves it by `periodMs`, counted from
-- when its answer arrived: the provider took the token no later than that. The epoch never changes.
policy.fields = { 'fullMs' }
policy.forgetsRefused = true

function policy.wholePeriodMs() return limit * periodMs end

-- The provider's clock may be slower than that of Redis, see guardMs in policy.ts.
local tokenMs = periodMs * 1.0002
local MARGIN_MS = 2

-- Time until the missing tokens are back, not counting those of outstanding permits.
local function missingMs() return q.fullMs + MARGIN_MS <= now and 0 or q.fullMs + MARGIN_MS - now end

local function take(count, atMs)
  if count > 0 then q.fullMs, changed = math.max(q.fullMs, atMs) + count * tokenMs, true end
end

local function postponeTo(fullMs)
  if fullMs > q.fullMs then q.fullMs, changed = fullMs, true end
end

function policy.used() return math.min(limit, math.ceil(missingMs() / tokenMs - 1e-6) + outstanding()) end

-- As if all tokens were taken by permits granted before the loss, which may arrive as late as holdMs from now.
function policy.assumeForgotten()
  q.unknownMs = now + holdMs
  postponeTo(q.unknownMs + limit * tokenMs)
end

function policy.recall(sent)
  for i = #sent, 1, -1 do take(sent[i].count, sent[i].atMs) end
end

function policy.rescale(oldPeriodMs)
  if q.fullMs > now then q.fullMs = now + (q.fullMs - now) * periodMs / oldPeriodMs end
end

-- The added tokens may not be there yet.
function policy.changeLimit(oldLimit)
  if limit > oldLimit then q.fullMs = math.max(q.fullMs, now) + (limit - oldLimit) * tokenMs end
end

function policy.settle(s)
  take(s.accepted + s.unknown, s.answeredMs)
  if s.refused == 0 then return end
  postponeTo(s.answeredMs + limit * tokenMs)
  -- Retry-After usually means the next token; only a longer one closes the quota.
  if s.retryAfterMs - ROUNDING_MS > tokenMs then blockAfterRefusal(s, tokenMs) end
end

-- The provider had `remaining` tokens, and a fraction, when it took this request's token: other clients took those that we
-- did not. If no other request of ours can have come later, the remaining tokens are certainly there.
function policy.applyRemaining(s)
  local isLast = outstanding() == 0 and s.accepted == 1 and s.grantedMs >= math.max(q.unknownMs, s.lastAnswerMs)
  local latestMs = s.answeredMs + (limit - s.remaining) * tokenMs
  if isLast and latestMs < q.fullMs then q.fullMs = latestMs end
  local fullMs = s.grantedMs + (limit - s.remaining - 1 - outstanding()) * periodMs
  if fullMs <= q.fullMs then return end
  foreign = foreign + math.ceil((fullMs - math.max(q.fullMs, s.grantedMs)) / tokenMs)
  postponeTo(fullMs)
end

function policy.timeOut(count, atMs) take(count, atMs) end

function policy.grantable()
  if q.blockedUntilMs > 0 then return 0 end
  return math.max(0, math.floor((limit * tokenMs - missingMs()) / tokenMs + 1e-6) - outstanding())
end

function policy.closedState()
  local waitMs = math.max(q.blockedUntilMs - now, missingMs() - (limit - math.min(least, limit) - outstanding()) * tokenMs)
  return opensByTime(waitMs) and BLOCKED or SPENT, math.max(1, waitMs)
end

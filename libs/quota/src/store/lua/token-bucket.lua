-- Each request takes a token of at most `limit`; one comes back every `periodMs`. Counted as in the generic cell rate
-- algorithm (ITU-T I.371): fullMs is when the bucket is full again, `periodMs` later for each request, counted from when
-- its answer came: the provider took the token no later than that. It never turns: its epoch stays.
policy.fields = { 'fullMs' }

-- A provider's clock may run slower than ours, see guardMs of policy.ts.
local tokenMs = periodMs * 1.0002
local MARGIN_MS = 2

-- How many tokens are missing, those in flight not counted, in ms until they are back.
local function missingMs() return q.fullMs + MARGIN_MS <= now and 0 or q.fullMs + MARGIN_MS - now end

local function take(count, atMs)
  if count > 0 then q.fullMs, changed = math.max(q.fullMs, atMs) + count * tokenMs, true end
end

local function atLeast(fullMs)
  if fullMs > q.fullMs then q.fullMs, changed = fullMs, true end
end

function policy.used() return math.min(limit, math.ceil(missingMs() / tokenMs - 1e-6) + outstanding()) end

-- As if all tokens were taken as late as what was granted before may still arrive.
function policy.forget()
  q.unknownMs = now + holdMs
  atLeast(q.unknownMs + limit * tokenMs)
end

function policy.rescale(oldPeriodMs)
  if q.fullMs > now then q.fullMs = now + (q.fullMs - now) * periodMs / oldPeriodMs end
end

-- The tokens that are new may not be there yet.
function policy.changeLimit(oldLimit)
  if limit > oldLimit then q.fullMs = math.max(q.fullMs, now) + (limit - oldLimit) * tokenMs end
end

function policy.settle(s)
  take(s.accepted + s.unknown, s.answeredMs)
  if s.refused == 0 then return end
  atLeast(s.answeredMs + limit * tokenMs)
  -- It means the next token, unless it says more.
  if s.stayAwayMs - ROUNDING_MS > tokenMs then refuse(s, tokenMs) end
end

-- So many were left when it was taken, and a fraction: somebody else took those that we cannot account for. If nothing else
-- of ours can have come after it, those that are left are there for certain.
function policy.observe(s)
  local isLast = outstanding() == 0 and s.accepted == 1 and s.sentMs >= math.max(q.unknownMs, s.lastAnswerMs)
  local latestMs = s.answeredMs + (limit - s.remaining) * tokenMs
  if isLast and latestMs < q.fullMs then q.fullMs = latestMs end
  local fullMs = s.sentMs + (limit - s.remaining - 1 - outstanding()) * periodMs
  if fullMs <= q.fullMs then return end
  foreign = foreign + math.ceil((fullMs - math.max(q.fullMs, s.sentMs)) / tokenMs)
  atLeast(fullMs)
end

function policy.giveUp(count, atMs) take(count, atMs) end

function policy.grantable()
  if q.blockedUntilMs > 0 then return 0 end
  return math.max(0, math.floor((limit * tokenMs - missingMs()) / tokenMs + 1e-6) - outstanding())
end

function policy.closed()
  local waitMs = math.max(q.blockedUntilMs - now, missingMs() - (limit - 1 - outstanding()) * tokenMs)
  return isTimed(waitMs) and BLOCKED or SPENT, math.max(1, waitMs)
end

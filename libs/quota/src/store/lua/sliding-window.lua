-- Accepts a request while fewer than `limit` were accepted in the preceding `periodMs`. Each slot is free again one period
-- after its answer arrived: the provider counted the request no later than that. The epoch never changes.
--   slots   'freeAtMs:count,…', earliest first. Slots that became free are kept for a while, to compare with what the
--           provider announced before. Times are rounded up to 1/256 of the period, which bounds their number.

policy.forgetsRefused = true

local PARTS = 256
local partMs = math.max(1, math.ceil(periodMs / PARTS))
local keptMs = math.min(holdMs, periodMs)
local parsedSlots = nil

local function slots()
  if parsedSlots then return parsedSlots end
  parsedSlots = {}
  for freeAtMs, count in string.gmatch(q.slots, '(%d+):(%d+)') do
    parsedSlots[#parsedSlots + 1] = { freeAtMs = tonumber(freeAtMs), count = tonumber(count) }
  end
  return parsedSlots
end

local function save()
  local parts = {}
  for _, slot in ipairs(slots()) do
    if slot.freeAtMs > now - keptMs then parts[#parts + 1] = string.format('%.0f:%.0f', slot.freeAtMs, slot.count) end
  end
  q.slots, changed = table.concat(parts, ','), true
end

local function take(count, usedAtMs)
  if count <= 0 then return end
  local freeAtMs = math.ceil((usedAtMs + guardedPeriodMs) / partMs) * partMs
  local at = #slots() + 1
  while at > 1 and slots()[at - 1].freeAtMs >= freeAtMs do at = at - 1 end
  local found = slots()[at]
  if found and found.freeAtMs == freeAtMs then
    found.count = found.count + count
  else
    table.insert(slots(), at, { freeAtMs = freeAtMs, count = count })
  end
  save()
end

local function usedAt(ms)
  local count = outstanding()
  for _, slot in ipairs(slots()) do
    if slot.freeAtMs > ms then count = count + slot.count end
  end
  return count
end

function policy.used() return usedAt(now) end

-- Permits granted before the loss may still be in flight, and be counted as late as holdMs from now.
function policy.assumeForgotten()
  parsedSlots = nil
  take(limit, now + holdMs)
end

function policy.recall(sent)
  parsedSlots = nil
  for _, request in ipairs(sent) do take(request.count, request.atMs) end
end

function policy.rescale(oldPeriodMs)
  for _, slot in ipairs(slots()) do slot.freeAtMs = slot.freeAtMs + periodMs - oldPeriodMs end
  save()
end

-- When as many slots are free as the smallest request needs.
local function nextFreeAtMs()
  local missing = math.min(least, limit) - (limit - policy.used())
  for _, slot in ipairs(slots()) do
    if slot.freeAtMs > now then
      missing = missing - slot.count
      if missing <= 0 then return slot.freeAtMs end
    end
  end
end

function policy.settle(s)
  take(s.accepted + s.unknown, s.answeredMs)
  if s.refused == 0 then return end
  -- When our next slot is free, the provider has one free too.
  local nextMs = nextFreeAtMs()
  if s.retryAfterMs >= 0 then blockAfterRefusal(s, nextMs and math.max(0, nextMs - s.answeredMs) or guardedPeriodMs) end
  -- The provider is full: other clients use the slots that we do not.
  local more = limit - policy.used()
  if more > 0 then foreign = foreign + more end
  take(more, s.answeredMs)
end

function policy.applyRemaining(s)
  if s.grantedMs < now - keptMs then return end
  local more = limit - s.remaining - usedAt(s.grantedMs)
  if more > 0 then foreign = foreign + more end
  take(more, s.answeredMs)
end

function policy.timeOut(count, atMs) take(count, atMs) end

function policy.grantable() return q.blockedUntilMs > 0 and 0 or math.max(0, limit - policy.used()) end

function policy.closedState()
  local untilMs = q.blockedUntilMs > 0 and q.blockedUntilMs or nextFreeAtMs() or 0
  if untilMs == 0 then return SPENT, guardedPeriodMs end
  return opensByTime(untilMs - now) and BLOCKED or SPENT, untilMs - now
end

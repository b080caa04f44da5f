-- Accepts a request while fewer than `limit` were accepted in the `periodMs` before it. Each slot is free again a period
-- after its answer came: the provider counted it no later than that. It never turns: its epoch stays.
--   slots   'frees:count,…' in the order they become free; those that have become so are kept for a while, to compare with
--           what the provider said when they were not. Moments are rounded up to a part of the period: they stay few.

local PARTS = 256
local partMs = math.max(1, math.ceil(periodMs / PARTS))
local keptMs = math.min(holdMs, periodMs)
local slots = nil

local function all()
  if slots then return slots end
  slots = {}
  for freesMs, count in string.gmatch(q.slots, '(%d+):(%d+)') do
    slots[#slots + 1] = { freesMs = tonumber(freesMs), count = tonumber(count) }
  end
  return slots
end

local function save()
  local parts = {}
  for _, slot in ipairs(all()) do
    if slot.freesMs > now - keptMs then parts[#parts + 1] = string.format('%.0f:%.0f', slot.freesMs, slot.count) end
  end
  q.slots, changed = table.concat(parts, ','), true
end

local function take(count, usedAtMs)
  if count <= 0 then return end
  local freesMs = math.ceil((usedAtMs + closedMs) / partMs) * partMs
  local at = #all() + 1
  while at > 1 and all()[at - 1].freesMs >= freesMs do at = at - 1 end
  local found = all()[at]
  if found and found.freesMs == freesMs then
    found.count = found.count + count
  else
    table.insert(all(), at, { freesMs = freesMs, count = count })
  end
  save()
end

local function usedAt(ms)
  local count = outstanding()
  for _, slot in ipairs(all()) do
    if slot.freesMs > ms then count = count + slot.count end
  end
  return count
end

function policy.used() return usedAt(now) end

-- What was granted before may still be on its way, and be counted as late as that.
function policy.forget()
  slots = nil
  take(limit, now + holdMs)
end

function policy.rescale(oldPeriodMs)
  for _, slot in ipairs(all()) do slot.freesMs = slot.freesMs + periodMs - oldPeriodMs end
  save()
end

local function firstFreeMs()
  for _, slot in ipairs(all()) do
    if slot.freesMs > now then return slot.freesMs end
  end
end

function policy.settle(s)
  take(s.accepted + s.unknown, s.answeredMs)
  if s.refused == 0 then return end
  -- The next slot of our own is one of the provider's as well.
  local ownMs = firstFreeMs()
  if s.stayAwayMs >= 0 then refuse(s, ownMs and math.max(0, ownMs - s.answeredMs) or closedMs) end
  -- It is full, so somebody else has what we have not.
  local more = limit - policy.used()
  if more > 0 then foreign = foreign + more end
  take(more, s.answeredMs)
end

function policy.observe(s)
  if s.sentMs < now - keptMs then return end
  local more = limit - s.remaining - usedAt(s.sentMs)
  if more > 0 then foreign = foreign + more end
  take(more, s.answeredMs)
end

function policy.giveUp(count, atMs) take(count, atMs) end

function policy.grantable() return q.blockedUntilMs > 0 and 0 or math.max(0, limit - policy.used()) end

function policy.closed()
  local untilMs = q.blockedUntilMs > 0 and q.blockedUntilMs or firstFreeMs() or 0
  if untilMs == 0 then return SPENT, closedMs end
  return isTimed(untilMs - now) and BLOCKED or SPENT, untilMs - now
end

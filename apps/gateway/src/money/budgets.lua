-- Budgets: what was spent in the current day and month, and what is held for messages in flight. Nothing is granted that
-- would exceed a limit if everything held were spent.
-- KEYS[1] string: holds are granted from this time on, in Unix time in milliseconds: by then the ledger has everything that
--   was in flight when Redis was empty
-- KEYS[2] hash: budget id -> "state day dayMicros monthMicros heldMicros usedMs"; state is "ready", or "reading" while a
--   pod reads in the ledger what was spent before; usedMs is the time of the last change
-- KEYS[3] hash: message id -> {micros, budgets, paidFor} as JSON: what is held, in which budgets, and what for
-- KEYS[4] sorted set: message ids by the time at which the hold should have ended
-- ARGV[1] how long no hold is granted after Redis was empty, in milliseconds
-- ARGV[2] after this time without a change, in milliseconds, a budget of which nothing is held is read from the ledger again:
--   it may have been lifted for a while
-- ARGV[3] operations, as JSON
-- Returns the results of the operations, as JSON. A day is a number like 20261128; its month is 202611.
local opened, spent, holds, expiring = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function text(number)
  return string.format('%.0f', number)
end

local function load(id)
  local packed = redis.call('HGET', spent, id)
  if not packed then return nil end
  local state, day, day_micros, month_micros, held, used_ms = packed:match('^(%a+) (%d+) (-?%d+) (-?%d+) (-?%d+) (%d+)$')
  local budget = {
    id = id, state = state, day = tonumber(day), day_micros = tonumber(day_micros),
    month_micros = tonumber(month_micros), held = tonumber(held),
  }
  local is_old = budget.held == 0 and now_ms - tonumber(used_ms) > tonumber(ARGV[2])
  budget.is_ready = state == 'ready' and not is_old
  return budget
end

local function save(budget)
  redis.call('HSET', spent, budget.id, table.concat({
    budget.state, text(budget.day), text(budget.day_micros), text(budget.month_micros), text(budget.held),
    text(now_ms) }, ' '))
end

local function roll(budget, day)
  if day <= budget.day then return end
  if math.floor(day / 100) > math.floor(budget.day / 100) then budget.month_micros = 0 end
  budget.day_micros = 0
  budget.day = day
end

-- A cost of an earlier day counts in the month only. A cost of an earlier month does not count.
local function spend(budget, day, micros)
  roll(budget, day)
  if day == budget.day then budget.day_micros = budget.day_micros + micros end
  if math.floor(day / 100) == math.floor(budget.day / 100) then budget.month_micros = budget.month_micros + micros end
end

local function load_hold(message)
  local packed = redis.call('HGET', holds, message)
  return packed and cjson.decode(packed)
end

local function save_hold(message, hold)
  redis.call('HSET', holds, message, cjson.encode(hold))
end

local function drop_hold(message)
  redis.call('HDEL', holds, message)
  redis.call('ZREM', expiring, message)
end

local run = {}

-- At the start of a pod: `waitMs` is 0 where nothing can be in flight.
function run.open(op)
  redis.call('SET', opened, text(now_ms + op.waitMs), 'NX')
  return { result = 'ok' }
end

function run.hold(op)
  local open_ms = tonumber(redis.call('GET', opened) or now_ms + tonumber(ARGV[1]))
  redis.call('SET', opened, text(open_ms), 'NX')
  if now_ms < open_ms then return { result = 'closed', waitMs = open_ms - now_ms } end
  if now_ms < op.dayStartMs or now_ms >= op.dayEndMs then return { result = 'clock', nowMs = now_ms } end
  local hold = load_hold(op.message)
  -- The provider may have charged for the message already: asking again costs nothing more.
  if op.isRepeat and hold then return { result = 'held' } end
  local budgets = {}
  for index, limit in ipairs(op.limits) do
    local budget = load(limit.id)
    if not budget or not budget.is_ready then return { result = 'unknown', budget = limit.id } end
    roll(budget, op.day)
    local after = budget.held == 0 and op.priceMicros or budget.held + op.micros
    if not op.isRepeat and limit.dayMicros and budget.day_micros + after > limit.dayMicros then
      return { result = 'exhausted', budget = limit.id, window = 'day' }
    end
    if not op.isRepeat and limit.monthMicros and budget.month_micros + after > limit.monthMicros then
      return { result = 'exhausted', budget = limit.id, window = 'month' }
    end
    budgets[index] = budget
  end
  hold = hold or { micros = 0, budgets = {} }
  local is_limited, is_held = {}, {}
  for _, budget in ipairs(budgets) do is_limited[budget.id] = true end
  -- A hold is one sum for all its budgets. So a budget that was lifted after an earlier attempt holds this one too.
  for _, id in ipairs(hold.budgets) do
    is_held[id] = true
    local lifted = not is_limited[id] and load(id)
    if lifted then
      lifted.held = lifted.held + op.micros
      save(lifted)
    end
  end
  for _, budget in ipairs(budgets) do
    -- And a budget that is new holds the earlier attempts too.
    budget.held = budget.held + (is_held[budget.id] and op.micros or op.micros + hold.micros)
    if not is_held[budget.id] then table.insert(hold.budgets, budget.id) end
    save(budget)
  end
  hold.micros = hold.micros + op.micros
  hold.paidFor = op.paidFor
  save_hold(op.message, hold)
  redis.call('ZADD', expiring, now_ms + op.expiresInMs, op.message)
  return { result = 'ok' }
end

-- One attempt is not charged: its part of the hold ends, or all of it.
function run.release(op)
  local hold = load_hold(op.message)
  if not hold then return { result = 'ok' } end
  local micros = math.min(op.micros, hold.micros)
  for _, id in ipairs(hold.budgets) do
    local budget = load(id)
    if budget then
      budget.held = budget.held - micros
      save(budget)
    end
  end
  hold.micros = hold.micros - micros
  if hold.micros > 0 then save_hold(op.message, hold) else drop_hold(op.message) end
  return { result = 'ok' }
end

-- The message has ended, and the ledger has its cost. A budget that is unknown will be read from the ledger.
function run.settle(op)
  local hold = load_hold(op.message)
  if not hold and op.onlyIfHeld then return { result = 'ok' } end
  local is_held = {}
  for _, id in ipairs(hold and hold.budgets or {}) do
    is_held[id] = true
    local budget = load(id)
    if budget then
      budget.held = budget.held - hold.micros
      spend(budget, op.day, op.micros)
      save(budget)
    end
  end
  for _, id in ipairs(op.budgets) do
    local budget = not is_held[id] and load(id)
    if budget then
      spend(budget, op.day, op.micros)
      save(budget)
    end
  end
  if hold then drop_hold(op.message) end
  return { result = 'ok' }
end

-- A pod is about to read the ledger: what is settled from now on is added to what it finds. A message may count twice until
-- the next read, but never too little.
function run.read(op)
  local budget = load(op.budget)
  if budget and budget.is_ready then return { result = 'ready' } end
  if not budget or budget.state == 'ready' then
    save({ id = op.budget, state = 'reading', day = op.day, day_micros = 0, month_micros = 0, held = 0 })
  end
  return { result = 'ok' }
end

-- What the ledger says. The first pod that has read it wins.
function run.found(op)
  local budget = load(op.budget)
  if not budget or budget.state ~= 'reading' then return { result = 'ok' } end
  roll(budget, op.day)
  if op.day == budget.day then budget.day_micros = budget.day_micros + op.dayMicros end
  if math.floor(op.day / 100) == math.floor(budget.day / 100) then
    budget.month_micros = budget.month_micros + op.monthMicros
  end
  budget.state = 'ready'
  save(budget)
  return { result = 'ok' }
end

-- Messages whose holds should have ended: their pod may be dead.
function run.expired(op)
  local messages = {}
  for _, message in ipairs(redis.call('ZRANGEBYSCORE', expiring, '-inf', now_ms, 'LIMIT', 0, op.count)) do
    local hold = load_hold(message)
    if hold then
      table.insert(messages, { id = message, micros = hold.micros, paidFor = hold.paidFor })
      -- Other pods skip this hold until then.
      redis.call('ZADD', expiring, now_ms + op.expiresInMs, message)
    else
      redis.call('ZREM', expiring, message)
    end
  end
  -- cjson encodes an empty table as {}, not [].
  return { result = 'expired', nowMs = now_ms, messages = #messages > 0 and messages or nil }
end

local results = {}
for index, op in ipairs(cjson.decode(ARGV[3])) do results[index] = run[op.op](op) end
return cjson.encode(results)

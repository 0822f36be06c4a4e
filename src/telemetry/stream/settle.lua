-- Acknowledges entries and marks each event in exactly one state. A bit that was set already counts
-- nothing, so replays and takeovers change nothing.
-- KEYS: stream, dead letters, totals
-- ARGV: group, key prefix, bits per chunk, time now, then per batch of events with the same verdict
--       producer, state, n, then n times (index, documents of each event there), m, then m times
--       (entry id, number), or for the state dead (entry id, number, event, reason, failures, stored,
--       attempts of the worker, time of the first)
-- Returns the number of events settled for the first time.
local stream, letters, totals = KEYS[1], KEYS[2], KEYS[3]
local group, prefix, size, now = ARGV[1], ARGV[2], 2 ^ tonumber(ARGV[3]), ARGV[4]
local STATES = {'indexed', 'filtered', 'dead', 'cleared'}
local ids, settled, strays = {}, 0, 0

-- A Redis at its maxmemory refuses a script whose first write may need memory (SETBIT), and lets one go on
-- that began with a write that never does. Settling is what frees memory, so it begins with such a one.
redis.call('XACK', stream, group, '0-0')

local function bitmap(producer, name, chunk)
  return prefix .. 'bits:' .. producer .. ':' .. name .. ':' .. chunk
end

-- How often an entry was given to a worker; once, when the group or the entry is gone.
local function deliveries(id)
  local pending = redis.pcall('XPENDING', stream, group, id, id, 1)
  return pending[1] and pending[1][4] or 1
end

-- Leaves the letter of a dead event; `more` are further fields. Every delivery counts as an attempt.
local function bury(producer, at, delivered, more)
  local first_at = ARGV[at + 7] ~= '' and ARGV[at + 7] or now
  redis.call('XADD', letters, '*', 'producer', producer, 'number', ARGV[at + 1], 'event', ARGV[at + 2],
    'reason', ARGV[at + 3], 'failures', ARGV[at + 4], 'stored', ARGV[at + 5],
    'attempts', delivered - 1 + tonumber(ARGV[at + 6]), 'first_at', first_at, 'last_at', now,
    'id', ARGV[at], unpack(more))
end

-- A chunk that is full becomes four counts, each measured in its own bitmap.
local function fold(producer, chunk)
  local counts, sum = {}, 0
  for _, state in ipairs(STATES) do
    local count = redis.call('BITCOUNT', bitmap(producer, state, chunk))
    counts[#counts + 1] = chunk .. ':' .. state
    counts[#counts + 1] = count
    sum = sum + count
  end
  if sum == size then
    redis.call('HSET', prefix .. 'folded:' .. producer, unpack(counts))
    for _, name in ipairs({'settled', unpack(STATES)}) do
      redis.call('DEL', bitmap(producer, name, chunk))
    end
  end
end

-- An entry that nobody numbered, or under a number that its producer has not written, is in no ledger: its
-- acknowledgement alone says that it is new.
local function settle_stray(producer, at, dead)
  local delivered = dead and deliveries(ARGV[at])
  if redis.call('XACK', stream, group, ARGV[at]) == 1 then
    strays = strays + 1
    if dead then bury(producer, at, delivered, {'stray', 1}) end
  end
end

-- What is known of a chunk of a producer's numbers, for one call.
local function look_at(producer, state, chunk)
  return {
    folded = redis.call('HEXISTS', prefix .. 'folded:' .. producer, chunk .. ':indexed') == 1,
    settled = bitmap(producer, 'settled', chunk), own = bitmap(producer, state, chunk), fresh = 0,
  }
end

-- Marks the event at `bit` of a chunk; returns whether that is new.
local function mark(known, bit)
  if known.folded or redis.call('SETBIT', known.settled, bit, 1) == 1 then return false end
  redis.call('SETBIT', known.own, bit, 1)
  known.fresh = known.fresh + 1
  return true
end

-- Marks the bits `first` to `last` of a chunk: whole bytes that are empty so far in one go.
local function mark_run(known, first, last)
  local from, upto = math.ceil(first / 8), math.floor((last + 1) / 8) - 1
  local bytes = upto - from + 1
  if known.folded or bytes < 1 or
    string.find(redis.call('GETRANGE', known.settled, from, upto), '[^%z]') then
    for bit = first, last do mark(known, bit) end
    return
  end
  local full = string.rep('\255', bytes)
  redis.call('SETRANGE', known.settled, from, full)
  redis.call('SETRANGE', known.own, from, full)
  known.fresh = known.fresh + 8 * bytes
  for bit = first, 8 * from - 1 do mark(known, bit) end
  for bit = 8 * (upto + 1), last do mark(known, bit) end
end

local function settle_numbered(producer, state, first, last, step)
  local chunks, fresh = {}, 0
  local high = tonumber(redis.call('HGET', prefix .. 'producer:' .. producer, 'high') or '0')
  local run  -- numbers that follow one another in a chunk, not marked yet
  local function end_run()
    if run then mark_run(run.known, run.first, run.last) end
    run = nil
  end
  for at = first, last, step do
    local position = tonumber(ARGV[at + 1]) - 1
    if position >= high then
      settle_stray(producer, at, state == 'dead')
    else
      ids[#ids + 1] = ARGV[at]
      local chunk = math.floor(position / size)
      local known = chunks[chunk]
      if not known then
        known = look_at(producer, state, chunk)
        chunks[chunk] = known
      end
      local bit = position - chunk * size
      if state == 'dead' then
        if mark(known, bit) then bury(producer, at, deliveries(ARGV[at]), {}) end
      elseif run and run.known == known and run.last + 1 == bit then
        run.last = bit
      else
        end_run()
        run = {known = known, first = bit, last = bit}
      end
    end
  end
  end_run()
  for chunk, known in pairs(chunks) do
    fresh = fresh + known.fresh
    if known.fresh > 0 and
      redis.call('HINCRBY', prefix .. 'folded:' .. producer, chunk .. ':settled', known.fresh) >= size then
      fold(producer, chunk)
    end
  end
  return fresh
end

local at = 5
while at <= #ARGV do
  local producer, state, indices = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local documents = at + 3
  local first = documents + 2 * indices + 1
  local step = state == 'dead' and 8 or 2
  local last = first + step * tonumber(ARGV[first - 1]) - 1
  if producer == '' then
    for stray = first, last, step do settle_stray('', stray, state == 'dead') end
  else
    local fresh = settle_numbered(producer, state, first, last, step)
    if fresh > 0 then
      settled = settled + fresh
      redis.call('SADD', prefix .. 'producers', producer)
      redis.call('HINCRBY', totals, state, fresh)
      for pair = documents, first - 2, 2 do
        redis.call('HINCRBY', prefix .. 'documents:' .. producer, ARGV[pair], fresh * tonumber(ARGV[pair + 1]))
      end
    end
  end
  at = last + 1
end

for from = 1, #ids, 1000 do
  redis.call('XACK', stream, group, unpack(ids, from, math.min(from + 999, #ids)))
end
if settled > 0 then redis.call('HINCRBY', totals, 'settled', settled) end
if strays > 0 then redis.call('HINCRBY', totals, 'strays', strays) end
return settled

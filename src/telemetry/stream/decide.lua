-- Decides what becomes of dead letters: replayed, failed again, or discarded. Whoever decides first
-- removes the letter, so a decision that is repeated, or taken twice at the same time, counts once.
-- KEYS: dead letters, changes, totals
-- ARGV: key prefix, bits per chunk, time now, then per letter
--       id, decision (indexed, filtered, dead = failed again, discarded), reason, failures,
--       n, then n times (index, documents of the event that are stored there)
-- Returns 1 or 0 per letter: 0 when it was gone.
local letters, changes, totals = KEYS[1], KEYS[2], KEYS[3]
local prefix, size, now = ARGV[1], 2 ^ tonumber(ARGV[2]), ARGV[3]

local function overlaid(pairs_of_letter, overlay)
  local fields = {}
  for _, list in ipairs({pairs_of_letter, overlay}) do
    for at = 1, #list, 2 do fields[list[at]] = list[at + 1] end
  end
  return fields
end

-- Where the ledger has the event, or nil: a stray is in no ledger, nor is a letter that somebody made by
-- hand for an event that is not dead.
local function account(fields)
  local producer, number = fields['producer'] or '', tonumber(fields['number'] or '')
  if fields['stray'] or producer == '' or not number or number < 1 then return nil end
  local position = number - 1
  local chunk = math.floor(position / size)
  local found = {producer = producer, chunk = chunk, bit = position - chunk * size,
    folded_hash = prefix .. 'folded:' .. producer}
  function found.bitmap(name) return prefix .. 'bits:' .. producer .. ':' .. name .. ':' .. chunk end
  found.folded = redis.call('HEXISTS', found.folded_hash, chunk .. ':indexed') == 1
  if not found.folded and redis.call('GETBIT', found.bitmap('dead'), found.bit) == 0 then return nil end
  return found
end

local function move(found, state)
  if found.folded then
    redis.call('HINCRBY', found.folded_hash, found.chunk .. ':dead', -1)
    redis.call('HINCRBY', found.folded_hash, found.chunk .. ':' .. state, 1)
  else
    redis.call('SETBIT', found.bitmap('dead'), found.bit, 0)
    redis.call('SETBIT', found.bitmap(state), found.bit, 1)
  end
  redis.call('HINCRBY', totals, 'dead', -1)
  redis.call('HINCRBY', totals, state, 1)
end

-- Counts the documents that were not counted when the event became dead, or by a replay before this one.
local function count_documents(found, fields, first, last)
  local known, stored = pcall(cjson.decode, fields['stored'] or '{}')
  if not known or type(stored) ~= 'table' then stored = {} end
  for at = first, last, 2 do
    local index, count = ARGV[at], tonumber(ARGV[at + 1])
    local fresh = count - (tonumber(stored[index]) or 0)
    if fresh > 0 then
      stored[index] = count
      if found then redis.call('HINCRBY', prefix .. 'documents:' .. found.producer, index, fresh) end
    end
  end
  return cjson.encode(stored)
end

local function close(id, fields, state)
  local copy = {'letter', id, 'state', state, 'closed_at', now}
  for name, value in pairs(fields) do
    copy[#copy + 1] = name
    copy[#copy + 1] = value
  end
  redis.call('XADD', changes, '*', unpack(copy))
end

local function decide(id, decision, at, documents, last)
  local entry = redis.call('XRANGE', letters, id, id)[1]
  if not entry then return 0 end
  local overlay = prefix .. 'dead:letter:' .. id
  local fields = overlaid(entry[2], redis.call('HGETALL', overlay))
  local found = account(fields)
  if decision == 'dead' then
    redis.call('HSET', overlay, 'attempts', (tonumber(fields['attempts'] or '') or 1) + 1, 'last_at', now,
      'reason', ARGV[at + 2], 'failures', ARGV[at + 3],
      'stored', count_documents(found, fields, documents, last))
    redis.call('XADD', changes, '*', 'letter', id, 'state', 'waiting')
    return 1
  end
  if redis.call('XDEL', letters, id) ~= 1 then return 0 end
  redis.call('DEL', overlay)
  if decision == 'discarded' then
    if found then
      redis.call('SETBIT', found.bitmap('discarded'), found.bit, 1)
      redis.call('HINCRBY', totals, 'discarded', 1)
    end
    close(id, fields, 'discarded')
  else
    count_documents(found, fields, documents, last)
    if found then
      move(found, decision)
      redis.call('HINCRBY', totals, 'replayed', 1)
    end
    close(id, fields, 'replayed')
  end
  return 1
end

local answer, at = {}, 4
while at <= #ARGV do
  local documents = at + 5
  local last = documents + 2 * tonumber(ARGV[at + 4]) - 1
  answer[#answer + 1] = decide(ARGV[at], ARGV[at + 1], at, documents, last)
  at = last + 1
end
return answer

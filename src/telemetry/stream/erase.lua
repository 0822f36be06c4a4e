-- Records that events were erased on request, before their documents are deleted. Recording again changes
-- nothing. The marks lie over the event's state, in bitmaps of their own that are never folded.
-- KEYS: dead letters, totals
-- ARGV: key prefix, bits per chunk, then per event
--       producer, number, id of its dead letter or "", n, then n times (index, documents it has there)
-- Returns per event: "new", "known" (recorded before), "unsettled" (on its way: nothing was recorded) or
-- "other" (filtered or cleared: it keeps its state).
local letters, totals = KEYS[1], KEYS[2]
local prefix, size = ARGV[1], 2 ^ tonumber(ARGV[2])

local function erase(producer, number, letter, first, last)
  local position = tonumber(number) - 1
  local chunk = math.floor(position / size)
  local bit = position - chunk * size
  local function bitmap(name) return prefix .. 'bits:' .. producer .. ':' .. name .. ':' .. chunk end
  local folded = redis.call('HEXISTS', prefix .. 'folded:' .. producer, chunk .. ':indexed') == 1
  if not folded and redis.call('GETBIT', bitmap('settled'), bit) == 0 then return 'unsettled' end
  local had_letter = letter ~= '' and redis.call('XDEL', letters, letter) == 1
  if had_letter then redis.call('DEL', prefix .. 'dead:letter:' .. letter) end
  if redis.call('GETBIT', bitmap('erased'), bit) == 1 then return 'known' end
  local dead
  if folded then
    dead = had_letter or redis.call('GETBIT', bitmap('discarded'), bit) == 1
  else
    dead = redis.call('GETBIT', bitmap('dead'), bit) == 1
    if not dead and redis.call('GETBIT', bitmap('indexed'), bit) == 0 then return 'other' end
  end
  redis.call('SETBIT', bitmap('erased'), bit, 1)
  if dead then redis.call('SETBIT', bitmap('erased-dead'), bit, 1) end
  for at = first, last, 2 do
    redis.call('HINCRBY', prefix .. 'erased-documents:' .. producer, ARGV[at], ARGV[at + 1])
  end
  redis.call('HINCRBY', totals, 'erased', 1)
  return 'new'
end

local answer, at = {}, 3
while at <= #ARGV do
  local first = at + 4
  local last = first + 2 * tonumber(ARGV[at + 3]) - 1
  answer[#answer + 1] = erase(ARGV[at], ARGV[at + 1], ARGV[at + 2], first, last)
  at = last + 1
end
return answer

-- Removes the oldest entries that nobody needs any more.
-- KEYS: stream, cursors
-- ARGV: entries to keep, most entries to remove, entries beyond which cursors no longer hold them
-- Returns the number of entries removed.
local excess = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[1])
if excess <= 0 then return 0 end

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function before(a, b)
  local a_ms, a_seq = parts(a)
  local b_ms, b_seq = parts(b)
  return a_ms < b_ms or (a_ms == b_ms and a_seq < b_seq)
end
local function after(id)
  local ms, seq = parts(id)
  return string.format('%.0f-%.0f', ms, seq + 1)
end

-- everything before `cut` may go: nobody needs it any more
local count = math.min(excess, tonumber(ARGV[2]))
local groups = redis.call('XINFO', 'GROUPS', KEYS[1])
if #groups == 0 then return 0 end
local cut
for _, group in ipairs(groups) do
  local about = {}
  for at = 1, #group, 2 do about[group[at]] = group[at + 1] end
  local delivered = after(about['last-delivered-id'])
  if not cut or before(delivered, cut) then cut = delivered end
  if about['pending'] > 0 then
    local first = redis.call('XPENDING', KEYS[1], about['name'])[2]
    if before(first, cut) then cut = first end
  end
end
if redis.call('XLEN', KEYS[1]) <= tonumber(ARGV[3]) then
  for _, id in ipairs(redis.call('HVALS', KEYS[2])) do
    -- the confirmed entry itself stays: an oldest entry beyond it says that some are lost
    if before(id, cut) then cut = id end
  end
end
if cut == '0-0' then return 0 end

-- Nodes of the stream that go whole need not be read. Of what is left beside them, less than a node as a rule,
-- the entries have to be, since nothing else tells the id of the last that may go.
local removed = redis.call('XTRIM', KEYS[1], 'MINID', '~', cut, 'LIMIT', count)
if removed == count then return removed end
local rest = redis.call('XRANGE', KEYS[1], '-', '(' .. cut, 'COUNT', count - removed)
if #rest == 0 then return removed end
return removed + redis.call('XTRIM', KEYS[1], 'MINID', after(rest[#rest][1]))

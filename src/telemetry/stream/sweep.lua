-- Deletes one page of entries that every group has finished with.
-- KEYS: stream
-- ARGV: first id of the page, last id, entries per page
-- Returns {entries deleted, entries kept, id of the last entry looked at or ""}
local page = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
if #page == 0 then return {0, 0, ''} end
local first, last = page[1][1], page[#page][1]

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function beyond(id, delivered)
  local ms, seq = parts(id)
  local to_ms, to_seq = parts(delivered)
  return ms > to_ms or (ms == to_ms and seq > to_seq)
end

-- Notes what the group has in flight. Entries deleted meanwhile are among it, so that there may be more of
-- it between the first and the last than entries.
local needed, delivered = {}, {}
local function note_pending(group)
  local from = first
  repeat
    local found = redis.call('XPENDING', KEYS[1], group, from, last, ARGV[3])
    for _, pending in ipairs(found) do needed[pending[1]] = true end
    if #found > 0 then from = '(' .. found[#found][1] end
  until #found < tonumber(ARGV[3]) or found[#found][1] == last
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local about = {}
  for at = 1, #group, 2 do about[group[at]] = group[at + 1] end
  delivered[#delivered + 1] = about['last-delivered-id']
  note_pending(about['name'])
end
local gone, kept = 0, 0
for _, entry in ipairs(page) do
  local id = entry[1]
  for _, to in ipairs(delivered) do
    if beyond(id, to) then needed[id] = true end
  end
  if needed[id] then
    kept = kept + 1
  else
    gone = gone + redis.call('XDEL', KEYS[1], id)
  end
end
return {gone, kept, last}

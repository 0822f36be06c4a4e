-- Tells which events of one page of the stream are not settled: not delivered yet, or pending.
-- KEYS: stream
-- ARGV: group, id after which the page begins ("" = the oldest entry), entries per page
-- Returns {id of the last entry looked at or "", producer, number, producer, number, ...}
local start = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local page = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', ARGV[3])
if #page == 0 then return {''} end

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local to_ms, to_seq = 0, 0
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local about = {}
  for at = 1, #group, 2 do about[group[at]] = group[at + 1] end
  if about['name'] == ARGV[1] then to_ms, to_seq = parts(about['last-delivered-id']) end
end
local pending = {}
if to_ms > 0 then
  local from, last = page[1][1], page[#page][1]
  repeat -- entries deleted meanwhile are among them, so that they may be more than those of the page
    local found = redis.call('XPENDING', KEYS[1], ARGV[1], from, last, ARGV[3])
    for _, entry in ipairs(found) do pending[entry[1]] = true end
    if #found > 0 then from = '(' .. found[#found][1] end
  until #found < tonumber(ARGV[3]) or found[#found][1] == last
end

local answer = {page[#page][1]}
for _, entry in ipairs(page) do
  local ms, seq = parts(entry[1])
  if pending[entry[1]] or ms > to_ms or (ms == to_ms and seq > to_seq) then
    local fields = {}
    for at = 1, #entry[2], 2 do fields[entry[2][at]] = entry[2][at + 1] end
    answer[#answer + 1] = fields['producer'] or ''
    answer[#answer + 1] = fields['number'] or ''
  end
end
return answer

-- Tells whose events one page of the dead letters holds, without the events themselves.
-- KEYS: dead letters
-- ARGV: id after which the page begins ("" = the oldest letter), letters per page
-- Returns {id of the last letter looked at or "", producer, number, producer, number, ...}; a stray, which
-- is in no ledger, has "" for both.
local start = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local page = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', ARGV[2])
if #page == 0 then return {''} end
local answer = {page[#page][1]}
for _, letter in ipairs(page) do
  local fields = {}
  for at = 1, #letter[2], 2 do fields[letter[2][at]] = letter[2][at + 1] end
  local numbered = not fields['stray']
  answer[#answer + 1] = numbered and fields['producer'] or ''
  answer[#answer + 1] = numbered and fields['number'] or ''
end
return answer

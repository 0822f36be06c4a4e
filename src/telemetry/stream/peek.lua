-- Shows the oldest events of the list, without taking them.
-- KEYS: list
-- ARGV: most events, most bytes altogether, largest event
-- Returns per event: bytes, SHA-1, and the event itself unless it is larger than that.
local answer, total = {}, 0
for at = 1, tonumber(ARGV[1]) do
  local item = redis.call('LINDEX', KEYS[1], -at)
  if not item then break end
  total = total + #item
  if at > 1 and total > tonumber(ARGV[2]) then break end
  answer[#answer + 1] = #item
  answer[#answer + 1] = redis.sha1hex(item)
  answer[#answer + 1] = #item > tonumber(ARGV[3]) and '' or item
end
return answer

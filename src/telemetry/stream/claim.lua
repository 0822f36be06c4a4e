-- Claims anew the entries that a consumer still holds: what another one took over stays with that one.
-- KEYS: stream
-- ARGV: group, consumer, idle time in ms that the entries shall have, then entry ids
-- Returns the ids that the consumer no longer holds.
local held, lost = {}, {}
for at = 4, #ARGV do
  local id = ARGV[at]
  if #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2]) == 1 then
    held[#held + 1] = id
  else
    lost[#lost + 1] = id
  end
end
if #held > 0 then
  held[#held + 1] = 'IDLE'
  held[#held + 1] = ARGV[3]
  held[#held + 1] = 'JUSTID'
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(held))
end
return lost

-- Removes consumers that hold nothing: removing one that does would lose what it holds.
-- KEYS: stream
-- ARGV: group, name of the consumer ("" = every one), shortest idle time in ms
-- Returns the number of consumers removed.
local removed = 0
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local about = {}
  for at = 1, #consumer, 2 do about[consumer[at]] = consumer[at + 1] end
  local named = ARGV[2] == '' or ARGV[2] == about['name']
  if named and about['pending'] == 0 and about['idle'] >= tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], about['name'])
    removed = removed + 1
  end
end
return removed

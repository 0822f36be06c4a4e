-- Adds a routing epoch, valid for entries that the group has not delivered yet.
-- KEYS: stream, list of epochs
-- ARGV: group, prefix, granularity
-- Returns 1 when the settings differ from the last epoch's.
local last = redis.call('LINDEX', KEYS[2], -1)
local after = '0-0'
if last then
  local known = cjson.decode(last)
  if known.prefix == ARGV[2] and known.granularity == ARGV[3] then return 0 end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local about = {}
    for at = 1, #group, 2 do about[group[at]] = group[at + 1] end
    if about['name'] == ARGV[1] then after = about['last-delivered-id'] end
  end
  if known.after == after then redis.call('RPOP', KEYS[2]) end
end
redis.call('RPUSH', KEYS[2], cjson.encode({after = after, prefix = ARGV[2], granularity = ARGV[3]}))
return 1

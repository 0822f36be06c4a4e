-- Adds a producer's next events to the stream, once each.
-- KEYS: stream, producer hash, gaps hash, set of producers, totals
-- ARGV: producer, most entries not yet settled, number up to which all were written before, then per item
--       "r", number, event  or  "g", first, last, reason
-- Returns {high, entries added, 1 when the bound was reached}; nothing is added when what was written
-- before is not here any more, so that the writer can go back to it
local producer, bound = ARGV[1], tonumber(ARGV[2])
local high = tonumber(redis.call('HGET', KEYS[2], 'high') or '0')
if high < tonumber(ARGV[3]) then
  return {high, 0, 0}
end
local totals = redis.call('HMGET', KEYS[5], 'written', 'settled')
local room = bound - (tonumber(totals[1] or '0') - tonumber(totals[2] or '0'))
local before, written, declared, full = high, 0, 0, 0

redis.call('SADD', KEYS[4], producer)
local at = 4
while at <= #ARGV do
  if ARGV[at] == 'r' then
    local number = tonumber(ARGV[at + 1])
    if number > high then
      if written >= room then
        full = 1
        break
      end
      redis.call('XADD', KEYS[1], '*', 'producer', producer, 'number', ARGV[at + 1], 'event', ARGV[at + 2])
      high = number
      written = written + 1
    end
    at = at + 3
  else
    local first, last = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    if last > high then
      first = math.max(first, high + 1)
      redis.call('HSET', KEYS[3], string.format('%d-%d', first, last), ARGV[at + 3])
      declared = declared + last - first + 1
      high = last
    end
    at = at + 4
  end
end

if high > before then
  redis.call('HSET', KEYS[2], 'high', high)
  redis.call('HINCRBY', KEYS[5], 'high', high - before)
end
if written > 0 then
  redis.call('HINCRBY', KEYS[5], 'written', written)
end
if declared > 0 then
  redis.call('HINCRBY', KEYS[5], 'declared', declared)
end
return {high, written, full}

-- Adds a producer's next events to the stream, once each.
-- KEYS: stream, producer hash, gaps hash, set of producers, totals
-- ARGV: producer, most entries not yet settled, number up to which all were written before, then per item
--       "r", framed events (framing.py)  or  "g", first, last, reason
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
    local framed, place = ARGV[at + 1], 1
    while place <= #framed and full == 0 do
      local length, number = struct.unpack('<I4I4', framed, place + 8)
      place = place + 20 + length
      if number > high then
        if written >= room then
          full = 1
        else
          local event = framed:sub(place - length, place - 1)
          redis.call('XADD', KEYS[1], '*', 'producer', producer, 'number', number, 'event', event)
          high = number
          written = written + 1
        end
      end
    end
    if full == 1 then
      break
    end
    at = at + 2
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

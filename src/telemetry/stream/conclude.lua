-- Writes what was concluded of a part of the stored events, and moves the cursor behind that part: both or
-- neither, so that a crash neither repeats nor skips a conclusion.
-- KEYS: stream, set of producers, totals, hash of the watch (its producer), hash of the subject: its cursor
-- ARGV: prefix, most entries not settled, producer of the watch if it has none yet, role, now, cursor expected,
--       cursor to set, count of further fields, these as name and value, then the events
-- Returns "done", "moved" when somebody else concluded that part, "full" when the stream has no room
local STREAM, PRODUCERS, TOTALS, WATCH, SUBJECT = unpack(KEYS)
local prefix, bound, role, now = ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[5]
if (redis.call('HGET', SUBJECT, 'cursor') or '') ~= ARGV[6] then return 'moved' end
local fields = tonumber(ARGV[8])
local first = 9 + 2 * fields
local count = #ARGV - first + 1
local totals = redis.call('HMGET', TOTALS, 'written', 'settled')
if tonumber(totals[1] or '0') - tonumber(totals[2] or '0') + count > bound then return 'full' end

-- Each start of Redis has a producer of its own, as in record_outcomes.lua: no number is given twice.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local producer = redis.call('HGET', WATCH, 'producer')
if not producer or redis.call('HGET', WATCH, 'run') ~= run then
  producer = ARGV[3]
  redis.call('HSET', WATCH, 'producer', producer, 'run', run)
end
local head = prefix .. 'producer:' .. producer
if redis.call('SISMEMBER', PRODUCERS, producer) == 0 then
  redis.call('SADD', PRODUCERS, producer)
  redis.call('HSET', head, 'role', role, 'started', now)
end
for at = first, #ARGV do
  local number = redis.call('HINCRBY', head, 'high', 1)
  redis.call('XADD', STREAM, '*', 'producer', producer, 'number', string.format('%d', number), 'event', ARGV[at])
end
redis.call('HINCRBY', TOTALS, 'high', count)
redis.call('HINCRBY', TOTALS, 'written', count)
redis.call('HSET', SUBJECT, 'cursor', ARGV[7])
for at = 9, 9 + 2 * fields - 1, 2 do
  redis.call('HSET', SUBJECT, ARGV[at], ARGV[at + 1])
end
return 'done'

-- Records outcomes, each once: the event and the label that says that it is recorded, all of them or none.
-- KEYS: stream, set of producers, totals, hash of the producer of outcomes
-- ARGV: prefix, most entries not settled, producer if there is none yet, now, seconds that a label is kept,
--       then per outcome: its key, the label, the label known from the store ("": none), the event,
--       and the event as a correction ("" when none is wanted)
-- Returns per outcome "recorded", "known", "corrected" or "conflict" and the label before it, or {"full"}
local STREAM, PRODUCERS, TOTALS, OWN = unpack(KEYS)
local prefix, bound, now, seconds = ARGV[1], tonumber(ARGV[2]), ARGV[4], tonumber(ARGV[5])
local totals = redis.call('HMGET', TOTALS, 'written', 'settled')
if tonumber(totals[1] or '0') - tonumber(totals[2] or '0') + (#ARGV - 5) / 5 > bound then return {'full'} end

-- A Redis that starts again may have lost its last second, and with it numbers that were given: a number that
-- is given twice would hide an outcome behind another one in the store. So each start has its own producer.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local producer = ARGV[3]
if redis.call('HGET', OWN, 'run') == run then producer = redis.call('HGET', OWN, 'producer') end
local head = prefix .. 'producer:' .. producer

local function write(event)
  if redis.call('SISMEMBER', PRODUCERS, producer) == 0 then
    redis.call('SADD', PRODUCERS, producer)
    redis.call('HSET', OWN, 'producer', producer, 'run', run)
    redis.call('HSET', head, 'role', 'feedback', 'started', now)
  end
  local number = redis.call('HINCRBY', head, 'high', 1)
  redis.call('XADD', STREAM, '*', 'producer', producer, 'number', string.format('%d', number), 'event', event)
  redis.call('HINCRBY', TOTALS, 'high', 1)
  redis.call('HINCRBY', TOTALS, 'written', 1)
end

local answers = {}
for at = 6, #ARGV, 5 do
  local key, label, stored, event, correction = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local before = redis.call('GET', key) or stored
  local status
  if before == label then
    status = 'known'
  elseif before ~= '' and correction == '' then
    status = 'conflict'
  else
    status = before == '' and 'recorded' or 'corrected'
    write(before == '' and event or correction)
    redis.call('SET', key, label, 'EX', seconds)
  end
  answers[#answers + 1] = status
  answers[#answers + 1] = before
end
return answers

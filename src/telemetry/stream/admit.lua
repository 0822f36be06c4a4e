-- Admits foreign events into the stream, once each, by whatever way and however often they come.
-- An event with a producer and number of its own keeps them: its bit in `admitted` says that it is here.
-- Another one is numbered under the bridge's own producer; its fingerprint says that it is here.
-- What an event comes from moves in the same step: the list loses it, or the cursor passes it.
-- KEYS: stream, set of producers, totals, fingerprints, losses, the bridge's hash, source: the list, or the
--       hash of the remote front end
-- ARGV: prefix, bits per chunk, most entries not settled, fingerprints kept, largest step of a foreign
--       number, largest event, producer of the bridge if it has none yet, via, host, now, where from
--       ("list" or "page"), for a page: cursor it was asked for, oldest entry where that is a loss,
--       "1" when the remote had no more; then per event
--       token (list: SHA-1 of the event there; page: its entry id), producer, number (0: none),
--       fingerprint, event ("": as it is in the list, cut one byte beyond the largest)
-- Returns {taken, admitted, known, numbered by the bridge, of these with a number that they could not keep,
--          declared lost, "" or why it stopped: "full", "moved"}
local STREAM, PRODUCERS, TOTALS, FINGERPRINTS, LOSSES, BRIDGE, SOURCE = unpack(KEYS)
local prefix, size, bound = ARGV[1], 2 ^ tonumber(ARGV[2]), tonumber(ARGV[3])
local kept, reach, largest = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local via, host, now, from_list = ARGV[8], ARGV[9], ARGV[10], ARGV[11] == 'list'
local expected, oldest, complete = ARGV[12], ARGV[13], ARGV[14] == '1'
local SEEN = SOURCE .. ':seen'
local totals = redis.call('HMGET', TOTALS, 'written', 'settled')
local room = bound - (tonumber(totals[1] or '0') - tonumber(totals[2] or '0'))
local taken, admitted, known, numbered, renamed, declared, stopped = 0, 0, 0, 0, 0, 0, ''
local states, loss = {}, false

local function key(kind, name)
  return prefix .. kind .. ':' .. name
end

local function register(name, attributes)
  redis.call('SADD', PRODUCERS, name)
  redis.call('HSET', key('producer', name), 'via', via, 'started', now, unpack(attributes))
end

local function state_of(name)
  if not states[name] then
    local about = redis.call('HMGET', key('producer', name), 'high', 'foreign')
    local new = redis.call('SISMEMBER', PRODUCERS, name) == 0 and not about[1]
    states[name] = {high = tonumber(about[1] or '0'), native = not new and not about[2], new = new}
  end
  return states[name]
end

local function write(name, number, event)
  redis.call('XADD', STREAM, '*', 'producer', name, 'number', string.format('%d', number), 'event', event)
  room = room - 1
  admitted = admitted + 1
end

local function raise(name, state, number)
  if number > state.high then
    state.high = number
    redis.call('HSET', key('producer', name), 'high', string.format('%d', number))
  end
end

-- A number that was declared lost has come by another way: the declaration shrinks.
local function recover(name, number)
  local gaps = key('gaps', name)
  for _, span in ipairs(redis.call('HKEYS', gaps)) do
    local first, last = string.match(span, '^(%d+)-(%d+)$')
    first, last = tonumber(first), tonumber(last)
    if first <= number and number <= last then
      local reason = redis.call('HGET', gaps, span)
      redis.call('HDEL', gaps, span)
      if first < number then
        redis.call('HSET', gaps, string.format('%d-%d', first, number - 1), reason)
      end
      if number < last then
        redis.call('HSET', gaps, string.format('%d-%d', number + 1, last), reason)
      end
      redis.call('HINCRBY', TOTALS, 'declared', -1)
      redis.call('HINCRBY', TOTALS, 'high', -1)
      return
    end
  end
end

-- After a loss, what is missing below the first number seen of a producer was lost with it.
local function declare(name, state, number)
  if loss and redis.call('SADD', SEEN, name) == 1 and number > state.high + 1 then
    local first, last = state.high + 1, number - 1
    redis.call('HSET', key('gaps', name), string.format('%d-%d', first, last), loss)
    raise(name, state, last)
    declared = declared + last - first + 1
  end
end

-- Returns "admitted", "known", "full", or "refused" when the event cannot have this identity.
local function admit_foreign(name, number, fingerprint, event)
  local state = state_of(name)
  if state.native then return number <= state.high and 'known' or 'refused' end
  if number > state.high + reach then return 'refused' end
  local position = number - 1
  local bitmap = prefix .. 'bits:' .. name .. ':admitted:' .. math.floor(position / size)
  if redis.call('GETBIT', bitmap, position % size) == 1 then return 'known' end
  if redis.call('ZSCORE', FINGERPRINTS, fingerprint) then return 'known' end
  if room <= 0 then return 'full' end
  if state.new then
    register(name, {'role', 'foreign', 'foreign', '1', 'host', host})
    state.new = false
  end
  declare(name, state, number)
  if number <= state.high then recover(name, number) end
  redis.call('SETBIT', bitmap, position % size, 1)
  raise(name, state, number)
  write(name, number, event)
  return 'admitted'
end

local function own_producer()
  local name = redis.call('HGET', BRIDGE, 'producer')
  if not name then
    name = ARGV[7]
    redis.call('HSET', BRIDGE, 'producer', name)
  end
  if redis.call('SISMEMBER', PRODUCERS, name) == 0 then register(name, {'role', 'bridge', 'source', host}) end
  return name
end

local function admit_nameless(fingerprint, event)
  if redis.call('ZSCORE', FINGERPRINTS, fingerprint) then return 'known' end
  if room <= 0 then return 'full' end
  local name = own_producer()
  local number = redis.call('HINCRBY', key('producer', name), 'high', 1)
  redis.call('ZADD', FINGERPRINTS, redis.call('HINCRBY', TOTALS, 'fingerprints', 1), fingerprint)
  numbered = numbered + 1
  write(name, number, event)
  return 'admitted'
end

local function admit(at, event)
  local name, number, verdict = ARGV[at + 1], tonumber(ARGV[at + 2]), 'refused'
  if number > 0 then verdict = admit_foreign(name, number, ARGV[at + 3], event) end
  if verdict == 'refused' then
    verdict = admit_nameless(ARGV[at + 3], event)
    if number > 0 and verdict == 'admitted' then renamed = renamed + 1 end
  end
  if verdict == 'known' then known = known + 1 end
  return verdict ~= 'full'
end

local function open_loss()
  loss = redis.call('HGET', SOURCE, 'loss')
  if oldest ~= '' then
    loss = 'lost before it was collected: ' .. via .. ' ' .. host .. ' had nothing older than ' .. oldest ..
      ', asked for what follows ' .. expected
    redis.call('HSET', SOURCE, 'loss', loss)
    redis.call('DEL', SEEN)
    redis.call('HSET', LOSSES, host .. ' ' .. expected, oldest .. ' ' .. now)
  end
end

if not from_list then
  if (redis.call('HGET', SOURCE, 'cursor') or '') ~= expected then return {0, 0, 0, 0, 0, 0, 'moved'} end
  open_loss()
end
local cursor = expected
for at = 15, #ARGV, 5 do
  local event = ARGV[at + 4]
  if from_list then
    local item = redis.call('LINDEX', SOURCE, -1)
    if not item or redis.sha1hex(item) ~= ARGV[at] then
      stopped = 'moved'
      break
    end
    if event == '' then event = string.sub(item, 1, largest + 1) end
  end
  if not admit(at, event) then
    stopped = 'full'
    break
  end
  taken = taken + 1
  if from_list then redis.call('RPOP', SOURCE) else cursor = ARGV[at] end
end

if not from_list then
  if cursor ~= expected then redis.call('HSET', SOURCE, 'cursor', cursor) end
  if loss and complete and stopped == '' then
    redis.call('HDEL', SOURCE, 'loss')
    redis.call('DEL', SEEN)
  end
end
if admitted + declared > 0 then redis.call('HINCRBY', TOTALS, 'high', admitted + declared) end
if admitted > 0 then redis.call('HINCRBY', TOTALS, 'written', admitted) end
if declared > 0 then redis.call('HINCRBY', TOTALS, 'declared', declared) end
if numbered > 0 then redis.call('ZREMRANGEBYRANK', FINGERPRINTS, 0, -kept - 1) end
local did = {taken = taken, admitted = admitted, known = known, numbered = numbered, renamed = renamed}
for name, count in pairs(did) do
  if count > 0 then redis.call('HINCRBY', BRIDGE, name, count) end
end
return {taken, admitted, known, numbered, renamed, declared, stopped}

-- Records what an index holds before it is dropped. Recording again keeps the larger count, so that a
-- repetition after a crash, or by another worker that saw less, changes nothing.
-- KEYS: set of recorded indices, hash of this index
-- ARGV: index, its uuid (an index made again under the same name adds to the account), then per producer
--       producer, documents, lowest number, highest number
redis.call('SADD', KEYS[1], ARGV[1])
for at = 3, #ARGV, 4 do
  local field = ARGV[2] .. ' ' .. ARGV[at]
  local count, first, last = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local known = redis.call('HGET', KEYS[2], field)
  if known then
    local before = {}
    for number in string.gmatch(known, '%d+') do before[#before + 1] = tonumber(number) end
    count, first, last = math.max(count, before[1]), math.min(first, before[2]), math.max(last, before[3])
  end
  redis.call('HSET', KEYS[2], field, string.format('%d %d %d', count, first, last))
end
return 1

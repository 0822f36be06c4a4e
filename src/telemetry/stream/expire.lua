-- Records what an index holds before it is dropped. Recording again keeps the larger counts, so that a
-- repetition after a crash, or by another worker that saw less, changes nothing.
-- KEYS: set of recorded indices, hash of this index
-- ARGV: index, its uuid (an index made again under the same name adds to the account), then per producer
--       producer, documents, lowest number, highest number, events, sum of their numbers
redis.call('SADD', KEYS[1], ARGV[1])
for at = 3, #ARGV, 6 do
  local field = ARGV[2] .. ' ' .. ARGV[at]
  local new = {}
  for position = 1, 5 do new[position] = tonumber(ARGV[at + position]) end
  local known = redis.call('HGET', KEYS[2], field)
  if known then
    local before = {}
    for number in string.gmatch(known, '%d+') do before[#before + 1] = tonumber(number) end
    for position = 1, 5 do
      -- the second is the lowest number, all others grow
      new[position] = (position == 2 and math.min or math.max)(new[position], before[position])
    end
  end
  redis.call('HSET', KEYS[2], field, string.format('%.0f %.0f %.0f %.0f %.0f', unpack(new)))
end
return 1

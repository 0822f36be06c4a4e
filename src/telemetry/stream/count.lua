-- Counts one page of entries.
-- KEYS: stream
-- ARGV: id after which the page begins ("" = the oldest entry), entries per page
-- Returns {entries, id of the last one or ""}
local start = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local page = redis.call('XRANGE', KEYS[1], start, '+', 'COUNT', ARGV[2])
return {#page, #page > 0 and page[#page][1] or ''}

-- Replaces a worker's heartbeat. The deletion comes first: a Redis at its maxmemory allows a script to
-- write on once it has begun with a command that needs no memory.
-- KEYS: heartbeat
-- ARGV: lifetime in s, then name, value, name, value, ...
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])

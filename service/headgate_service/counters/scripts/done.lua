-- Says when a copy ended.   KEYS 1 headgate:copied   ARGV 1 ms
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
return 1

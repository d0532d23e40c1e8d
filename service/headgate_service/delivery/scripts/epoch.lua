-- Names this Redis's data, where it has no name yet.
-- KEYS 1 headgate:epoch   ARGV 1 random hex   Returns the name.
-- A full memory refuses a SET, but not once the script has run a command that writes, whatever came of it.
redis.call('PERSIST', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])

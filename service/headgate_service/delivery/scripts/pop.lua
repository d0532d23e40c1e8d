-- Takes projects with news from a shard's ready set. Read past their cursors after this, never before.
-- KEYS 1 T:lease  2 T:ready   ARGV 1 token  2 count   Returns project ids. Errors: FENCED
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED the lease is another one')
end
local popped = redis.call('ZPOPMIN', KEYS[2], ARGV[2])
local projects = {}
for i = 1, #popped, 2 do
  projects[#projects + 1] = popped[i]
end
return projects

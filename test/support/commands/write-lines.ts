/** One call of each command that writes, or whose answer changes by itself. */

import { lines } from "./command-lines.js";

/** Like lookups and reads, with replies of which only the shape repeats. */
export const changing = lines(`
  client id
  client info
  client list
  client getname
  config get maxmemory*
  info
  info replication
  lastsave
  latency latest
  lolwut
  memory stats
  object idletime str
  pttl gone-in-3015
  randomkey
  role
  scan 0 COUNT 1000
  slowlog len
  srandmember ints 2
  time
  ttl gone-in-3015
  xinfo consumers x g
  xpending x g - + 10`);

/** Commands that change something, one after the other. */
export const writes = lines(`
  acl whoami
  append str !
  bitfield bits SET u8 0 255 OVERFLOW FAIL INCRBY u2 0 3
  bitop NOT bits2 bits
  cluster info
  config set latency-tracking yes
  copy str str2
  debug sleep 0
  decr num
  decr str
  decrby num 2
  del str2 nope
  eval return{KEYS[1],ARGV[1],redis.call('incr',KEYS[1])} 1 num x
  eval return{err='MINE:no'} 1 num
  evalsha 0123456789012345678901234567890123456789 1 num
  expire str 1000 XX
  expireat str 33000000000
  failover abort
  fcall nobody 0
  frobnicate str
  function list
  function stats
  geoadd geo CH 12.5 41.9 Rome
  georadius geo 15 37 200 km ASC STORE near
  georadiusbymember geo Palermo 200 km
  geosearchstore nearer geo FROMMEMBER Rome BYBOX 400 400 km
  getdel other
  getdel l
  getex str EX 100
  getset num 7
  hdel h f nope
  hexpire h 100 FIELDS 1 g
  hincrby h n 3
  hincrbyfloat h n 0.5
  hmset h a 1 b 2
  hset h a 2 c 3
  hset h odd
  hsetnx h a 9
  incr num
  incrby num 10
  incrbyfloat num 0.25
  latency reset
  linsert l BEFORE b new
  lmove l l2 LEFT RIGHT
  lmpop 2 nope l LEFT COUNT 2
  lmpop 1 nope RIGHT
  lpop l
  lpop nope 2
  lpush l x y
  lpushx nope x
  lrem l 0 x
  lset l 0 z
  lset l 99 z
  ltrim l 0 5
  migrate 127.0.0.1 1 nope 0 10
  module list
  move nope 9
  mset m1 a m2 b
  msetnx m2 c m3 d
  object freq str
  persist str
  pexpire str 100000
  pexpireat str 33000000000000
  pfadd hll z
  pfdebug encoding hll
  pfmerge hll3 hll hll2
  psetex m1 100000 v
  publish nobody hi
  rename m2 m4
  rename nope m5
  renamenx m4 m1
  restore str 0 x
  rpop l
  rpoplpush l l2
  rpush l p q
  rpushx l r
  sadd ints 4 5
  script exists 0123456789012345678901234567890123456789
  script load return(1)
  sdiffstore s3 ints more
  set str v NX
  set str w XX GET
  set str u KEEPTTL
  set str v EX 0
  setbit bits 3 0
  setex m1 100 v
  setnx m6 v
  setrange m6 2 xyz
  sinterstore s4 ints more
  smove ints more 1
  sort l ALPHA
  sort ints DESC STORE sorted
  spop one-member
  spop nope 2
  spublish nobody hi
  srem ints 2 99
  sunionstore s5 ints more
  unlink m1 nope
  xack x g 1-1
  xadd x 3-1 d 4
  xadd x 1-1 d 4
  xadd x MAXLEN = 2 4-1 e 5
  xautoclaim x g you 0 0 COUNT 1
  xclaim x g you 0 3-1
  xdel x 2-1
  xgroup create x g 0
  xgroup create x h 0
  xgroup createconsumer x h them
  xgroup setid x h 1-1
  xgroup delconsumer x h them
  xgroup destroy x h
  xreadgroup group g me count 2 streams x >
  xreadgroup group nobody me streams x >
  xsetid x 9-1
  xtrim x MAXLEN 1
  zadd z CH 9 a 8 b
  zadd z INCR 1.5 a
  zadd z NX INCR 1 a
  zdiffstore z3 2 z z2
  zincrby z 0.1 c
  zinterstore z4 2 z z2 WEIGHTS 1 2
  zmpop 1 z MIN COUNT 2
  zmpop 1 nope MAX
  zpopmax z
  zpopmin z 2
  zrangestore z5 words 0 1
  zrem words a nope
  zremrangebylex words [b (c
  zremrangebyrank words 0 0
  zremrangebyscore z2 (2 10
  zunionstore z6 2 z2 one-score AGGREGATE SUM
  lpush str x
  incr
  flushdb`);

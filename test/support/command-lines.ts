/** One call of each command there is, as lines of words, and the keys they are about. */

/** Run before anything is compared. */
export const data = lines(`
  set str hello
  set other yellow
  set num 41
  set gone-in-3015 v exat 33000000000
  setbit bits 7 1
  hset h f 1 g two
  hset one-field f 1
  rpush l a b c b
  sadd ints 1 2 3
  sadd more 2 3 4
  sadd one-member a
  zadd z 1 a 2 b 3.5 c inf d
  zadd z2 2 a 10 e
  zadd words 0 a 0 b 0 c
  zadd one-score 1.5 a
  geoadd geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
  pfadd hll a b c
  pfadd hll2 c d
  xadd x 1-1 a 1
  xadd x 2-1 b 2 c 3
  xgroup create x g 0
  xreadgroup group g me count 1 streams x >`);

/** What a replica may answer, also with an error. */
export const reads = lines(`
  bitcount bits
  bitcount bits 0 -1 BYTE
  bitfield_ro bits GET u8 0
  bitpos bits 1
  dump str
  eval_ro return{redis.call('get',KEYS[1]),ARGV[1],2,false} 1 str x
  eval_ro return{err='MINE:no'} 0
  evalsha_ro 0123456789012345678901234567890123456789 1 str
  exists str nope
  expiretime gone-in-3015
  expiretime nope
  fcall_ro nobody 0
  geodist geo Palermo Catania km
  geodist geo Palermo nope
  geohash geo Palermo nope
  geopos geo Palermo nope
  georadius_ro geo 15 37 200 km WITHCOORD WITHDIST WITHHASH ASC
  georadiusbymember_ro geo Palermo 200 km DESC
  geosearch geo FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHDIST
  get str
  get nope
  getbit bits 7
  getrange str 1 -2
  hexists h f
  hexpiretime h FIELDS 1 f
  hget h g
  hget nope g
  hgetall h
  hgetall nope
  hkeys h
  hlen h
  hmget h f nope
  hpexpiretime h FIELDS 1 f
  hpttl h FIELDS 1 f
  hrandfield one-field
  hrandfield one-field 2 WITHVALUES
  hstrlen h g
  httl h FIELDS 1 f
  hvals h
  keys on?-f*
  lcs str other
  lcs str other LEN
  lcs str other IDX WITHMATCHLEN
  lindex l -1
  lindex l 9
  llen l
  lpos l b RANK -1
  lpos l b COUNT 0
  lrange l 0 -1
  mget str nope num
  pexpiretime gone-in-3015
  pfcount hll hll2
  pttl str
  scard ints
  sdiff ints more
  sinter ints more
  sintercard 2 ints more LIMIT 1
  sismember ints 2
  smembers ints
  smembers nope
  smismember ints 1 9
  sort_ro l ALPHA DESC LIMIT 0 3
  sort_ro ints DESC GET #
  srandmember one-member
  srandmember one-member 2
  strlen str
  substr str 0 1
  sunion ints more
  ttl str
  ttl nope
  type z
  xlen x
  xpending x g
  xrange x - +
  xrange x - + COUNT 1
  xread COUNT 1 STREAMS x 0
  xread STREAMS nope x 0 1-1
  xread STREAMS nope 0
  xrevrange x + -
  zcard z
  zcount z (1 +inf
  zdiff 2 z z2 WITHSCORES
  zinter 2 z z2 WEIGHTS 2 3 WITHSCORES
  zintercard 2 z z2
  zlexcount words [a (c
  zmscore z a nope
  zrandmember one-score
  zrandmember one-score 2 WITHSCORES
  zrange z 0 -1
  zrange z 0 -1 REV WITHSCORES
  zrange z (1 inf BYSCORE LIMIT 0 1
  zrangebylex words - (c
  zrangebyscore z -inf +inf WITHSCORES
  zrank z b
  zrank z nope
  zrevrange z 0 1 WITHSCORES
  zrevrangebylex words + [b
  zrevrangebyscore z 3.5 1
  zrevrank z b
  zscore z c
  zscore z nope
  zunion 2 z z2 AGGREGATE MAX WITHSCORES
  get h
  hgetall str
  lrange str 0 -1
  smembers l
  xrange l - +
  get
  get str other
  hget h
  getrange str a b
  zrange z a b
  zrangebyscore z x y
  geodist geo Palermo Catania parsecs
  sintercard 0
  xread STREAMS x`);

/** What is said of a node or needs the node that said it, with replies that repeat. */
export const lookups = lines(`
  command count
  command getkeys mset a 1 b 2
  command info get nope
  command list FILTERBY PATTERN hexist*
  dbsize
  echo hi
  hscan h 0 MATCH f* COUNT 10
  memory usage str
  object encoding ints
  object encoding nope
  object nonsense
  ping
  ping hello
  pubsub channels nobody*
  pubsub numpat
  pubsub numsub a b
  sscan ints 0
  touch str nope
  xinfo groups x
  xinfo stream x
  zscan z 0
  scan nonsense`);

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

/** What changes something, one after the other. */
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

/** Builtin commands without a line: what they do reaches past their own database, or they change the connection. */
export const withoutLine: Readonly<Record<string, string>> = {
  "bgrewriteaof bgsave flushall pfselftest replicaof save shutdown slaveof swapdb":
    "concern the whole server",
  "monitor psubscribe psync punsubscribe replconf restore-asking ssubscribe subscribe sunsubscribe sync":
    "are another kind of connection",
  "asking auth hello quit readonly readwrite reset select unsubscribe": "change the connection",
  "discard exec multi unwatch watch": "belong together",
  "arcount ardel ardelrange arget argetrange argrep arinfo arinsert arlastitems arlen armget armset arnext arop arring":
    "newer than the servers this was tried on",
  "arscan arseek arset backup delex digest hexpireat hgetdel hgetex himport hotkeys hpersist hpexpire hpexpireat hsetex":
    "likewise",
  "increx lmovem msetex sdiffcard sentinel sunioncard trimslots vadd vcard vdim vemb vgetattr vinfo vismember vlinks":
    "likewise",
  "vrandmember vrange vrem vsetattr vsim xackdel xcfgset xdelex xidmprecord xnack": "likewise",
  "blmove blmovem blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin wait waitaof": "block",
};

function lines(text: string): readonly string[] {
  return text
    .trim()
    .split("\n")
    .map((line) => line.trim());
}

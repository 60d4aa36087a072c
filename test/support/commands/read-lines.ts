/** One call of each command that changes nothing, and the keys they are about. */

import { lines } from "./command-lines.js";

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

/** Commands that a replica may answer, even with an error. */
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

/** Commands that describe a node or need a particular node, with repeatable replies. */
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

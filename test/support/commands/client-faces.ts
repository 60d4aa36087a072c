/** The faces a Tidemark has for ioredis users, and a plain client to compare them with, each in a database of its own. */

import { Redis, type RedisOptions } from "ioredis";
import type { Level, Session, Tidemark } from "../../../src/index.js";
import type { ReplicationGroup } from "../servers/replication-group.js";
import { replicasAreEligible } from "../stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../stages/open-tidemark.js";

/** A client in the place that somebody uses it from. Each use is a request of one and the same user, where it has one. */
export type Face = <T>(use: (redis: Redis) => T) => T;

export interface Faces extends AsyncDisposable {
  /** ioredis itself, on the primary. */
  readonly plain: Face;
  /** Tidemark's, by what they are. */
  readonly ours: readonly (readonly [name: string, face: Face])[];
  /** The one of them that most apps use. */
  readonly session: Face;
  /** Empties all databases and runs `fill` in each; resolves when the replicas have it. */
  refill(fill: (redis: Redis) => Promise<unknown>): Promise<void>;
}

/** Gives every use a session that begins with what the one before it requires. */
function requests(
  tidemark: Tidemark,
  level: Level,
  use: <T>(session: Session, fn: (redis: Redis) => T) => T,
): Face {
  let session = tidemark.session({ level });
  return (fn) => {
    session = tidemark.session({ level, token: session.token() });
    return use(session, fn);
  };
}

const onSession = <T>(session: Session, fn: (redis: Redis) => T): T => fn(session.redis);

const kinds: readonly {
  readonly name: string;
  readonly options?: GroupOptions;
  readonly face: (tidemark: Tidemark) => Face;
}[] = [
  { name: "session.redis", face: (tidemark) => requests(tidemark, "session", onSession) },
  { name: "tidemark.redis outside any session", face: (tidemark) => (use) => use(tidemark.redis) },
  {
    name: "tidemark.redis in a session",
    face: (tidemark) =>
      requests(tidemark, "session", (session, fn) => tidemark.run(session, () => fn(tidemark.redis))),
  },
  { name: "session.redis at level strong", face: (tidemark) => requests(tidemark, "strong", onSession) },
  {
    name: "session.redis with verify always",
    options: { verify: "always" },
    face: (tidemark) => requests(tidemark, "session", onSession),
  },
];

/** Opens all with the same ioredis options; resolves when every replica may be read from. */
export async function openFaces(group: ReplicationGroup, redis: RedisOptions = {}): Promise<Faces> {
  const { host, port } = group.primary;
  const own = { ...redis, host, port, db: 0 };
  const plain = new Redis(own as RedisOptions & { replyMapping?: "legacy" });
  const opened = kinds.map(({ name, options, face }, index) => {
    const tidemark = openTidemark(group, { redis: { ...redis, db: index + 1 }, ...options });
    return { tidemark, ours: [name, face(tidemark)] as const };
  });
  await Promise.all(opened.map(({ tidemark }) => replicasAreEligible(tidemark)));
  const ours = opened.map((one) => one.ours);
  const [, session] = ours[0] ?? [];
  if (session === undefined) throw new Error("there are no faces");
  return {
    plain: (use) => use(plain),
    ours,
    session,
    refill: async (fill) => {
      await group.primary.admin().flushall();
      await Promise.all([fill(plain), ...ours.map(([, face]) => face(fill))]);
      await group.caughtUp();
    },
    [Symbol.asyncDispose]: async () => {
      plain.disconnect();
      await Promise.all(opened.map(({ tidemark }) => tidemark.close()));
    },
  };
}

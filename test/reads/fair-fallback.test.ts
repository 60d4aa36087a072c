/** Many concurrent reads of one user beside those of other users, while all replicas are behind. */
import { describe, expect, it } from "vitest";
import { header, requestSessions } from "../../src/http/http.js";
import { ReplicasBehindError, type Session, type Tidemark } from "../../src/index.js";
import { encodeToken } from "../../src/session/token.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });

/** The value at `key` for `session`; undefined when the read is refused because replicas are behind. */
async function read(session: Session, key: string): Promise<string | null | undefined> {
  try {
    return await session.redis.get(key);
  } catch (error) {
    if (error instanceof ReplicasBehindError) return undefined;
    throw error;
  }
}

async function write(tidemark: Tidemark, key: string, value: number): Promise<string> {
  const session = tidemark.session();
  await session.redis.set(key, value);
  return session.token();
}

/** Has one user send so many requests at once, all the time, until disposed of; counts how they end. */
function flood(atOnce: number, open: () => Session) {
  const ends = { answered: 0, refused: 0 };
  let isOver = false;
  const asking = Array.from({ length: atOnce }, async () => {
    while (!isOver) ends[(await read(open(), "flood")) === undefined ? "refused" : "answered"] += 1;
  });
  return {
    ends,
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      await Promise.all(asking);
    },
  };
}

/** The reads of a user who writes and reads back, three times. */
async function live(tidemark: Tidemark, user: string): Promise<readonly unknown[]> {
  const seen: unknown[] = [];
  for (let value = 1; value <= 3; value++) {
    const token = await write(tidemark, user, value);
    seen.push(await read(tidemark.session({ token }), user));
  }
  return seen;
}

type Open = (tidemark: Tidemark) => () => Session;

/** Has each request bring the same token. */
function replayed(token: string): Open {
  return (tidemark) => () => tidemark.session({ token });
}

/** Requests that a user may send again and again. */
const requests: Record<string, () => Open> = {
  "of a write whose position is unknown": () =>
    replayed(encodeToken({ issuedAt: Date.now(), pinnedAt: Date.now(), freshAsOf: 0, positions: [] })),
  "that asks for what the primary will have": () =>
    replayed(
      encodeToken({ issuedAt: Date.now(), pinnedAt: 0, freshAsOf: Date.now() + 50_000, positions: [] }),
    ),
  "from the far future": () => {
    const positions = [{ replid: "8371b4fb1155b71f", offset: 26_689_005 }];
    return replayed(encodeToken({ issuedAt: Date.now() + 1e9, pinnedAt: 0, freshAsOf: 0, positions }));
  },
  "that a client without any may ask for": () => (tidemark) => {
    const open = requestSessions(tidemark, { secret: "not known to the client", carrier: header() });
    return () => open({ headers: { "consistency-token": "*" } }).session;
  },
};

describe("while all replicas are behind, users are answered even if another user sends 500 requests at once", () => {
  const limits = { concurrency: 64, perSecond: 150 };

  // How fast a busy machine answers may spoil a try: with fewer answers a second than users not all can have one.
  it.each([["that no replica has caught up with", undefined] as const, ...Object.entries(requests)])(
    "%s",
    { retry: 3, timeout: 60_000 },
    async (_what, made) => {
      const tidemark = await stage.open({ fallbackLimit: limits });
      holdReplicas(stage.group);
      const newest = await write(tidemark, "flood", 1);
      await using flooding = flood(500, (made?.() ?? replayed(newest))(tidemark));
      await waitUntil(() => flooding.ends.refused > 100, { what: "most of the flood is refused" });
      const users = Array.from({ length: 10 }, (_, i) => live(tidemark, `user-${i}`));
      expect(await Promise.all(users)).toEqual(users.map(() => ["1", "2", "3"]));
      expect(flooding.ends.answered).toBeGreaterThan(0);
      await releaseReplicas(stage.group);
    },
  );
});

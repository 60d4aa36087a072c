import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ReplicasBehindError, Tidemark } from "../src/index.js";
import { type ReplicationGroup, startReplicationGroup } from "./support/replication-group.js";
import { listenToRoutes, type Routes } from "./support/routes.js";
import { waitUntil } from "./support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  tidemark = open();
  await replicasAreEligible(tidemark);
  routes = listenToRoutes();
});

afterEach(async () => {
  routes[Symbol.dispose]();
  await tidemark.close();
  await release();
});

function open(options: Partial<ConstructorParameters<typeof Tidemark>[0]> = {}): Tidemark {
  return new Tidemark({
    primary: group.primary.url,
    replicas: group.replicas.map(({ server }) => server.url),
    ...options,
  });
}

/** A session that only reads keeps the probes going until both replicas are proven. */
async function replicasAreEligible(one: Tidemark): Promise<void> {
  await one.ready();
  await waitUntil(
    async () => {
      await one.session().redis.get("nothing");
      return one.topology().every(({ eligible }) => eligible);
    },
    { what: "both replicas are eligible" },
  );
}

function hold(...which: number[]): void {
  for (const index of which) group.replicas[index]?.link.hold();
}

async function release(): Promise<void> {
  await Promise.all(group.replicas.map(({ link }) => link.release()));
  await group.caughtUp();
}

describe("a read at level session", () => {
  it("is answered by a replica when the session has written nothing", async () => {
    await tidemark.session().redis.get("anything");
    expect(routes.of("get")).toEqual(["replica:known"]);
  });

  it("sees the session's own write while every replica is held back", async () => {
    hold(0, 1);
    const session = tidemark.session();
    await session.redis.set("held", "new");
    expect(await session.redis.get("held")).toBe("new");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
  });

  it("sees it in another process that only has the token", async () => {
    hold(0, 1);
    const writer = tidemark.session();
    await writer.redis.set("carried", "new");
    const elsewhere = open();
    try {
      await elsewhere.ready();
      const reader = elsewhere.session({ token: writer.token() });
      expect(await reader.redis.get("carried")).toBe("new");
    } finally {
      await elsewhere.close();
    }
  });

  it("goes back to a replica once one has applied the write", async () => {
    hold(0, 1);
    const session = tidemark.session();
    await session.redis.set("applied", "new");
    await release();
    const token = session.token();
    await waitUntil(
      async () => {
        routes.clear();
        expect(await tidemark.session({ token }).redis.get("applied")).toBe("new");
        return routes.of("get").length === 1 && routes.of("get")[0]?.startsWith("replica:") === true;
      },
      { what: "a replica answers" },
    );
  });

  it("is answered by the one replica that has caught up while the other has not", async () => {
    hold(0);
    const session = tidemark.session();
    await session.redis.set("one-of-two", "new");
    const fresh = group.replicas[1]?.server;
    const before = (await fresh?.commandCalls("get")) ?? 0;
    await waitUntil(
      async () => {
        const reader = tidemark.session({ token: session.token() });
        expect(await reader.redis.get("one-of-two")).toBe("new");
        return ((await fresh?.commandCalls("get")) ?? 0) > before;
      },
      { what: "the replica that has it answers" },
    );
  });

  it("throws a replica's answer away when its INFO shows that it was too early", async () => {
    await tidemark.session().redis.set("early", "old");
    await group.caughtUp();
    hold(0, 1);
    const session = tidemark.session();
    await session.redis.set("early", "new");
    expect(await session.redis.get("early")).toBe("new");
    expect(["primary:check-failed", "primary:behind"]).toContain(routes.of("get").at(-1));
  });

  it("stays in order behind a write of the session that nobody has awaited", async () => {
    const { redis } = tidemark.session();
    const [, value] = await Promise.all([redis.set("order", "1"), redis.get("order")]);
    expect(value).toBe("1");
    expect(routes.of("get")).toEqual(["primary:write-in-flight"]);
  });

  it("keeps a session to one replica, so that time does not run backwards between two", async () => {
    hold(0);
    const writer = tidemark.session();
    await writer.redis.set("monotonic", "new");
    const fresh = group.replicas[1]?.server.admin();
    await waitUntil(async () => (await fresh?.get("monotonic")) === "new", { what: "the other one has it" });
    // A reader without any write of its own: either replica may answer first, but not the newer one and then the older.
    for (let i = 0; i < 50; i++) {
      const reader = tidemark.session();
      const seen = [await reader.redis.get("monotonic"), await reader.redis.get("monotonic")];
      expect(seen).not.toEqual(["new", null]);
    }
  });

  it("does not fall back behind what the session has read on the primary", async () => {
    hold(0, 1);
    await tidemark.redis.set("seen-on-primary", "new");
    const session = tidemark.session();
    expect(await session.redis.at("strong").get("seen-on-primary")).toBe("new");
    for (let i = 0; i < 20; i++) expect(await session.redis.get("seen-on-primary")).toBe("new");
  });
});

describe("a pipeline of reads", () => {
  it("goes to one replica as a whole, with results as ioredis gives them", async () => {
    await tidemark.session().redis.pipeline().set("p1", "a").hset("p2", "f", "b").exec();
    await group.caughtUp();
    routes.clear();
    const { redis } = tidemark.session();
    const results = await redis.pipeline().get("p1").hgetall("p2").lrange("p1", 0, -1).getBuffer("p1").exec();
    expect(results?.map(([error, value]) => error?.message.slice(0, 9) ?? value)).toEqual([
      "a",
      { f: "b" },
      "WRONGTYPE",
      Buffer.from("a"),
    ]);
    expect([...routes.of("get"), ...routes.of("hgetall")].every((to) => to.startsWith("replica:"))).toBe(
      true,
    );
  });

  it("sees the session's own write while every replica is held back", async () => {
    hold(0, 1);
    const session = tidemark.session();
    await session.redis.set("p3", "new");
    expect(await session.redis.pipeline().get("p3").strlen("p3").exec()).toEqual([
      [null, "new"],
      [null, 3],
    ]);
  });

  it("stays in order with what was sent before and after it without waiting", async () => {
    const { redis } = tidemark.session();
    const seen = [redis.set("p4", 1), redis.pipeline().get("p4").incr("p4").exec(), redis.get("p4")];
    expect((await Promise.all(seen)).slice(1)).toEqual([
      [
        [null, "1"],
        [null, 2],
      ],
      "2",
    ]);
  });
});

describe("the other levels", () => {
  it("strong reads only from the primary", async () => {
    await tidemark.session({ level: "strong" }).redis.get("k");
    await tidemark.session().at("strong").get("k");
    expect(routes.of("get")).toEqual(["primary:strong", "primary:strong"]);
  });

  it("eventual reads from a replica also right after a write of the session", async () => {
    const session = tidemark.session({ level: "eventual" });
    await session.redis.set("eventual", "x");
    await group.caughtUp();
    hold(0, 1);
    await session.redis.set("eventual", "y");
    expect(await session.redis.get("eventual")).toBe("x");
  });

  it("a bound refuses a replica that has fallen behind it, and accepts it again", async () => {
    const level = { maxStalenessMs: 60 };
    const read = async (): Promise<string | undefined> => {
      routes.clear();
      await tidemark.redis.incr("clock");
      await tidemark.session().redis.incr("clock");
      await tidemark.session({ level }).redis.get("clock");
      return routes.of("get").at(-1);
    };
    hold(0, 1);
    await waitUntil(async () => (await read())?.startsWith("primary:") === true, { what: "refused" });
    await release();
    await waitUntil(async () => (await read())?.startsWith("replica:") === true, { what: "accepted" });
  });

  it("no level reads from a replica that is further behind than maxStalenessMs", async () => {
    const strict = open({ maxStalenessMs: 100, tokenTtlMs: 1_000 });
    try {
      await replicasAreEligible(strict);
      hold(0, 1);
      await waitUntil(
        async () => {
          await strict.session().redis.incr("clock");
          routes.clear();
          await strict.session({ level: "eventual" }).redis.get("clock");
          return routes.of("get").at(-1)?.startsWith("primary:") === true;
        },
        { what: "the primary answers even at level eventual" },
      );
    } finally {
      await strict.close();
    }
  });
});

describe("a read that no replica may answer", () => {
  it("waits up to waitMs for a replica, and is answered by it", async () => {
    const patient = open({ waitMs: 20_000 });
    try {
      await replicasAreEligible(patient);
      hold(0, 1);
      const session = patient.session();
      await session.redis.set("waited", "new");
      routes.clear();
      const looks = (): Promise<number> =>
        group.replicas[0]?.server.commandCalls("info") ?? Promise.resolve(0);
      const before = await looks();
      const read = patient.session({ token: session.token() }).redis.get("waited");
      await waitUntil(async () => (await looks()) > before + 5, {
        what: "the waiting read looks at the replicas",
      });
      await release();
      expect(await read).toBe("new");
      expect(routes.of("get").at(-1)).toBe("replica:known");
    } finally {
      await patient.close();
    }
  });

  it("waits in vain for none when it has read ahead of the replicas on the primary", async () => {
    const patient = open({ waitMs: 20_000 });
    try {
      await replicasAreEligible(patient);
      const session = patient.session();
      await session.redis.at("strong").get("ahead");
      expect(await session.redis.get("ahead")).toBeNull();
      expect(routes.of("get").at(-1)).toMatch(/^replica:/);
    } finally {
      await patient.close();
    }
  }, 10_000);

  it('is an error when fallback is "error"', async () => {
    const strict = open({ fallback: "error" });
    try {
      await replicasAreEligible(strict);
      hold(0, 1);
      const session = strict.session();
      await session.redis.set("refused", "new");
      await expect(session.redis.get("refused")).rejects.toThrow(ReplicasBehindError);
    } finally {
      await strict.close();
    }
  });
});

describe('verify: "always"', () => {
  it("proves each read in a transaction of its own, with replies and errors as ioredis gives them", async () => {
    const verifying = open({ verify: "always" });
    try {
      await replicasAreEligible(verifying);
      await verifying.session().redis.hset("verified", { a: "1" });
      await group.caughtUp();
      const before = await group.replicas[0]?.server.commandCalls("exec");
      const { redis } = verifying.session();
      expect(await redis.hgetall("verified")).toEqual({ a: "1" });
      expect(await redis.getBuffer("nothing")).toBeNull();
      await expect(redis.get("verified")).rejects.toThrow(/^WRONGTYPE/);
      const after = await Promise.all(group.replicas.map(({ server }) => server.commandCalls("exec")));
      expect(Math.max(...after)).toBeGreaterThan(before ?? 0);
    } finally {
      await verifying.close();
    }
  });
});

/** What each mode does with commands, and what users see while the mode changes. */
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type ModeMessage, modeChannel, type Session, type Tidemark } from "../../src/index.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { callsOf } from "../support/servers/info.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark } = stage);
});

/** The session of the same user in the next request. */
function next(session: Session, at = tidemark): Session {
  return at.session({ token: session.token() });
}

/** How many commands replicas have got. */
function toReplicas(): number {
  const counts = tidemark.stats().commands.filter(({ role }) => role === "replica");
  return counts.reduce((sum, { count }) => sum + count, 0);
}

/** How often the primary has answered INFO since the last call of this function. */
async function infos(): Promise<number> {
  const calls = await callsOf(group.primary.admin(), "info");
  const since = calls - lastInfos;
  // Asking is one of them.
  lastInfos = calls + 1;
  return since;
}
let lastInfos = 0;

const notLive = ["off", "shadow"] as const;

describe.each(notLive)("with the mode %s", (mode) => {
  beforeEach(() => {
    tidemark.mode = mode;
  });

  it("every command of a session goes to the primary, at every level", async () => {
    await group.primary.admin().set("key", "value");
    await group.caughtUp();
    const before = toReplicas();
    const session = tidemark.session();
    for (const level of ["session", "eventual", { maxStalenessMs: 5_000 }] as const)
      expect(await session.at(level).get("key")).toBe("value");
    expect(await session.redis.pipeline().get("key").strlen("key").exec()).toEqual([
      [null, "value"],
      [null, 5],
    ]);
    expect(sentCommands(tidemark, "not-live")).toBe(5);
    expect(toReplicas()).toBe(before);
  });

  it("writes do not ask the primary for their position", async () => {
    const session = tidemark.session();
    await session.redis.get("key");
    await infos();
    const before = tidemark.stats().probes.primary;
    await session.redis.set("key", "value");
    await session.redis.pipeline().set("key", "value").incr("count").exec();
    await session.redis.multi().incr("count").exec();
    await session.redis.eval("return redis.call('incr', KEYS[1])", 1, "count");
    const { writes, pins, probes } = tidemark.stats();
    expect([writes.known, writes.unknown, pins.unknownPosition]).toEqual([0, 0, 0]);
    expect(writes.notLive).toBe(4);
    // The primary is asked from time to time whether it still is the primary.
    expect(await infos()).toBeLessThanOrEqual(probes.primary - before);
    expect(probes.primary - before).toBeLessThan(4);
  });

  it.each<[string, (session: Session) => Promise<unknown>]>([
    ["a write", ({ redis }) => redis.set("key", "own")],
    ["a pipeline", ({ redis }) => redis.pipeline().get("other").set("key", "own").exec()],
    ["a transaction", ({ redis }) => redis.multi().set("key", "own").exec()],
    ["a script", ({ redis }) => redis.eval("redis.call('set', KEYS[1], 'own')", 1, "key")],
    [
      "a transaction step by step",
      async ({ redis }) => {
        await redis.multi({ pipeline: false });
        await redis.set("key", "own");
        await redis.exec();
      },
    ],
    ["a write that nobody awaits", async ({ redis }) => void redis.set("key", "own")],
  ])("a user sees the own data of %s after the mode has become live", async (_what, write) => {
    holdReplicas(group);
    const session = tidemark.session();
    await write(session);
    const later = next(session);
    tidemark.mode = "live";
    expect(await later.redis.get("key")).toBe("own");
    expect(await session.redis.get("key")).toBe("own");
    await session.redis.get("key");
    expect(await next(session).redis.get("key")).toBe("own");
  });

  it("a process with the mode live honours the token of this one", async () => {
    const other = openTidemark(group);
    onTestFinished(() => other.close());
    await other.ready();
    holdReplicas(group);
    const session = tidemark.session();
    await session.redis.set("key", "own");
    expect(await next(session, other).redis.get("key")).toBe("own");
  });

  it("monotonic reads stay monotonic after the mode has become live", async () => {
    await group.primary.admin().set("key", "old");
    await group.caughtUp();
    holdReplicas(group);
    await group.primary.admin().set("key", "new");
    const session = tidemark.session({ monotonicReads: true });
    expect(await session.redis.get("key")).toBe("new");
    expect(session.settled()).toBeUndefined();
    const later = tidemark.session({ monotonicReads: true, token: session.token() });
    tidemark.mode = "live";
    expect(await later.redis.get("key")).toBe("new");
  });

  it("a response need not wait for writes in flight", async () => {
    const session = tidemark.session();
    const write = session.redis.set("key", "value");
    expect(session.settled()).toBeUndefined();
    await write;
  });

  it("a write concern still holds", async () => {
    const session = tidemark.session();
    session.replicated(2);
    expect(await session.redis.set("key", "value")).toBe("OK");
    for (const { server } of group.replicas) expect(await server.admin().get("key")).toBe("value");
  });

  it("replicas that are all gone make no difference", async () => {
    holdReplicas(group);
    const session = tidemark.session({ level: "eventual" });
    await session.redis.set("key", "value");
    expect(await session.redis.get("key")).toBe("value");
  });
});

it("changes at run time while users read and write, and nobody misses a write or gets an error", async () => {
  const until = 60;
  let changes = 0;
  const user = async (id: number): Promise<void> => {
    let session = tidemark.session();
    for (let turn = 0; changes < until; turn += 1) {
      const value = String(turn);
      await session.redis.set(`key:${id}`, value);
      session = next(session);
      expect(await session.redis.get(`key:${id}`)).toBe(value);
      if (turn % 3 === 0) session = next(session);
      expect(await session.redis.get(`key:${id}`)).toBe(value);
    }
  };
  const users = Array.from({ length: 20 }, (_, id) => user(id));
  const others = ["off", "live", "shadow", "live"] as const;
  for (; changes < until; changes += 1) {
    tidemark.mode = others[changes % others.length] ?? "live";
    if (changes % 10 === 0) holdReplicas(group);
    if (changes % 10 === 5) await releaseReplicas(group);
    await tidemark.session().redis.ping();
    await new Promise(setImmediate);
  }
  await Promise.all(users);
});

it("users who wrote before the mode became live are not refused because the primary answers them all", async () => {
  const limited = openTidemark(group, { fallbackLimit: { concurrency: 1, perSecond: 1 }, mode: "off" });
  onTestFinished(() => limited.close());
  await limited.ready();
  const sessions = Array.from({ length: 20 }, () => limited.session());
  await Promise.all(sessions.map(({ redis }, id) => redis.set(`own:${id}`, "own")));
  limited.mode = "live";
  const reads = sessions.map((session, id) => next(session, limited).redis.get(`own:${id}`));
  expect(await Promise.all(reads)).toEqual(sessions.map(() => "own"));
  expect(sentCommands(limited, "position-unknown")).toBe(20);
});

it("a read that waits for a replica is answered although the mode has become off", async () => {
  holdReplicas(group);
  const session = tidemark.session({ level: [{ level: "session", waitMs: 30_000 }] });
  await session.redis.set("key", "own");
  const read = session.redis.get("key");
  tidemark.mode = "off";
  await releaseReplicas(group);
  expect(await read).toBe("own");
});

it("is live by default, and publishes each change once", async () => {
  const heard: ModeMessage[] = [];
  const listener = (message: ModeMessage): void => {
    heard.push(message);
  };
  modeChannel.subscribe(listener);
  onTestFinished(() => {
    modeChannel.unsubscribe(listener);
  });
  expect([tidemark.mode, tidemark.rollout]).toEqual(["live", 1]);
  tidemark.mode = "shadow";
  tidemark.mode = "shadow";
  tidemark.rollout = 0.05;
  expect([tidemark.mode, tidemark.rollout]).toEqual(["shadow", 0.05]);
  expect(heard).toEqual([
    { tidemark, mode: "shadow", rollout: 1, before: { mode: "live", rollout: 1 }, cause: undefined },
    { tidemark, mode: "shadow", rollout: 0.05, before: { mode: "shadow", rollout: 1 }, cause: undefined },
  ]);
});

it("refuses modes and shares that do not exist, and stays as it was", () => {
  const given: { mode: unknown; rollout: unknown } = tidemark;
  expect(() => {
    given.mode = "on";
  }).toThrow('mode: got "on". Pass "off", "shadow" or "live".');
  for (const share of [5, -0.1, Number.NaN, "0.05"])
    expect(() => {
      given.rollout = share;
    }).toThrow("Pass a share of the users from 0 to 1, like 0.05 for 5 %");
  expect([tidemark.mode, tidemark.rollout]).toEqual(["live", 1]);
});

/** Histories of sessions whose requests are answered by several app processes and replicas of different lag. */
import { describe, expect, it } from "vitest";
import type { CommonOptions, Tidemark } from "../../src/index.js";
import { counters, raise, readCounters, stepsBack } from "../support/load/counters.js";
import { fickleLag } from "../support/proxies/fickle-lag.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

/** One request: a session from the token that the last one left. */
async function request<T>(
  tidemark: Tidemark,
  token: string,
  work: (redis: Tidemark["redis"]) => Promise<T>,
): Promise<{ readonly result: T; readonly token: string }> {
  const session = tidemark.session({ token });
  const result = await work(session.redis);
  await session.settled();
  return { result, token: session.token() };
}

function oneOf<T>(all: readonly T[]): T {
  const one = all[Math.floor(Math.random() * all.length)];
  if (one === undefined) throw new Error("there is none");
  return one;
}

describe("sessions over three replicas of changing lag", () => {
  const stage = stageGroup({ replicas: 3 });

  /** How often users whose requests go to two apps see an older state than before, in at least so many reads. */
  async function historyOf(options: CommonOptions, isEnough: (reads: number, steps: number) => boolean) {
    const apps = [await stage.open(options), await stage.open(options)];
    const links = stage.group.replicas.map(({ link }) => link);
    await using _lag = fickleLag(links, { upToMs: 60, everyMs: 60, held: 0.2 });
    let [reads, steps, writes] = [0, 0, 0];
    const writing = setInterval(() => void raise(stage.group.primary.admin()), 2);
    const browse = async (): Promise<void> => {
      let [token, floor] = ["", 0];
      while (!isEnough(reads, steps)) {
        const isWrite = Math.random() < 0.02;
        const answered = await request(oneOf(apps), token, async (redis) => {
          const written = isWrite ? [await raise(redis)] : [];
          return [...written, ...(await readCounters(redis))];
        });
        steps += stepsBack(answered.result, floor);
        reads += counters.length + 1;
        writes += isWrite ? 1 : 0;
        floor = Math.max(floor, ...answered.result);
        token = answered.token;
      }
    };
    await raise(stage.group.primary.admin());
    try {
      await Promise.all(Array.from({ length: 12 }, browse));
    } finally {
      clearInterval(writing);
    }
    return { reads, steps, writes };
  }

  it("never go back in time with monotonicReads, within one key or between keys", async () => {
    const { reads, steps, writes } = await historyOf({ monotonicReads: true }, (reads) => reads >= 10_000);
    expect(reads).toBeGreaterThanOrEqual(10_000);
    expect(writes).toBeGreaterThan(0);
    expect(steps).toBe(0);
  });

  it("do go back in time without monotonicReads", async () => {
    const { steps } = await historyOf({}, (reads, steps) => steps > 20 || reads > 50_000);
    expect(steps).toBeGreaterThan(20);
  });

  it("see no answer without its post, however tokens are passed on", async () => {
    const apps = await Promise.all([1, 2, 3].map(() => stage.open({ monotonicReads: true })));
    const links = stage.group.replicas.map(({ link }) => link);
    await using _lag = fickleLag(links, { upToMs: 40, everyMs: 40, held: 0.2 });
    /** Asks until there is something, in one request after the other. */
    const isSeen = async (key: string): Promise<string> => {
      let token = "";
      await waitUntil(
        async () => {
          const seen = await request(oneOf(apps), token, (redis) => redis.get(key));
          token = seen.token;
          return seen.result !== null;
        },
        { what: `${key} is seen` },
      );
      return token;
    };
    const talk = async (name: string): Promise<(string | null)[]> => {
      const [post, answer] = [`post:${name}`, `answer:${name}`];
      const stranger = isSeen(answer);
      await request(oneOf(apps), "", (redis) => redis.set(post, "posted"));
      const read = await isSeen(post);
      // A user who only gets B's token, which B has from a read.
      const told = await request(oneOf(apps), read, (redis) => redis.get(post));
      const answered = await request(oneOf(apps), read, (redis) => redis.set(answer, "answered"));
      const friend = await request(oneOf(apps), answered.token, (redis) => redis.get(answer));
      const friendly = await request(oneOf(apps), friend.token, (redis) => redis.get(post));
      const strange = await request(oneOf(apps), await stranger, (redis) => redis.get(post));
      return [told.result, friend.result, friendly.result, strange.result];
    };
    for (let round = 0; round < 15; round++) {
      const heard = await Promise.all([1, 2, 3, 4].map((one) => talk(`${round}:${one}`)));
      for (const one of heard) expect(one).toEqual(["posted", "answered", "posted", "posted"]);
    }
  });

  it.each([
    ["finds", true, "posted"],
    ["misses", false, null],
  ])(
    "a user with the token of someone who read a post %s the post, with monotonicReads: %s",
    async (_, monotonicReads, expected) => {
      const [b, c] = [await stage.open({ monotonicReads }), await stage.open({ monotonicReads })];
      holdReplicas(stage.group);
      await stage.group.primary.admin().set("post", "posted");
      const read = await request(b, "", (redis) => redis.at("strong").get("post"));
      expect(read.result).toBe("posted");
      expect((await request(c, read.token, (redis) => redis.get("post"))).result).toBe(expected);
    },
  );
});

describe("data that was read without replicas", () => {
  const stage = stageGroup({ replicas: 1 });

  it("is found again with replicas", async () => {
    const without = await stage.open({ monotonicReads: true, replicas: [] });
    const withThem = await stage.open({ monotonicReads: true });
    await stage.group.primary.admin().set("k", "old");
    await stage.group.caughtUp();
    holdReplicas(stage.group);
    await stage.group.primary.admin().set("k", "new");
    const read = await request(without, "", (redis) => redis.get("k"));
    expect(read.result).toBe("new");
    expect((await request(withThem, read.token, (redis) => redis.get("k"))).result).toBe("new");
  });
});

describe("a post and its answer in different shards", () => {
  const stage = stageCluster();
  const [postSlot, answerSlot] = [1, 12_000];

  it.each([
    ["never see", true, "posted"],
    ["see", false, "draft"],
  ])(
    "strangers %s the answer without its post, with monotonicReads: %s",
    async (_, monotonicReads, expected) => {
      const apps = [await stage.open({ monotonicReads }), await stage.open({ monotonicReads })] as const;
      const name = `:${monotonicReads}`;
      const [post, answer] = [keyIn(postSlot, name), keyIn(answerSlot, name)];
      const primary = await stage.group.primaryOf(postSlot);
      // A missing key is looked up on the primary, because it may be moving to another shard.
      await primary.server.admin().set(post, "draft");
      await stage.group.ready();
      primary.proxy.hold();
      await request(apps[0], "", (redis) => redis.set(post, "posted"));
      const read = await request(apps[1], "", (redis) => redis.at("strong").get(post));
      expect(read.result).toBe("posted");
      const answered = await request(apps[0], read.token, (redis) => redis.set(answer, "answered"));
      const friend = await request(apps[1], answered.token, (redis) => redis.get(answer));
      const stranger = await request(apps[1], "", (redis) => redis.at("strong").get(answer));
      expect([friend.result, stranger.result]).toEqual(["answered", "answered"]);
      expect((await request(apps[0], friend.token, (redis) => redis.get(post))).result).toBe("posted");
      expect((await request(apps[0], stranger.token, (redis) => redis.get(post))).result).toBe(expected);
    },
  );
});

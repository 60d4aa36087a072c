/** Servers that change their role without any notice to Tidemark. */
import { beforeEach, describe, expect, it } from "vitest";
import { NotPrimaryError, type Tidemark } from "../../src/index.js";
import { RedisServer } from "../support/servers/redis-server.js";
import type { GroupReplica } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });

/** Not waited for. */
function open(options: GroupOptions = {}): Tidemark {
  const tidemark = openTidemark(stage.group, options);
  stage.owe({ stop: () => tidemark.close() });
  return tidemark;
}

/** The replica that is to be the primary. */
function heir(): GroupReplica {
  const [first] = stage.group.replicas;
  if (first === undefined) throw new Error("the group has no replica");
  return first;
}

/** Promotes the heir, with the old primary and the other replica behind it, both held back from then on. */
async function handOver(): Promise<void> {
  const { server: primary, link } = heir();
  await primary.replicate(undefined);
  link.retarget(primary.port);
  await stage.group.primary.replicate(link);
  for (const other of stage.group.replicas.slice(1)) {
    other.link.cut();
    other.link.mend();
    other.link.retarget(primary.port);
    await other.server.replicate(other.link);
  }
  for (const server of [stage.group.primary, ...stage.group.replicas.slice(1).map((other) => other.server)]) {
    await waitUntil(async () => (await server.info("replication")).master_link_status === "up", {
      what: "the old primary follows the new primary",
    });
  }
  for (const replica of stage.group.replicas) replica.link.hold();
}

function takesWritesAt(tidemark: Tidemark): string | undefined {
  return tidemark.topology()[0]?.address;
}

function addressOf({ host, port }: RedisServer): string {
  return `${host}:${port}`;
}

/** Resolves when `tidemark`, which reads meanwhile, has the heir for its primary. */
async function noticesHandOver(tidemark: Tidemark): Promise<void> {
  await waitUntil(
    async () => {
      await tidemark.session().redis.get("k");
      return takesWritesAt(tidemark) === addressOf(heir().server);
    },
    { what: "the new primary is known" },
  );
}

describe.concurrent("a primary that has become a replica", () => {
  beforeEach(async () => {
    await stage.group.primary.admin().set("k", "old");
    await stage.group.caughtUp();
  });

  it("answers no session of an idle process that receives a token of the new primary", async () => {
    const [busy, idle] = [open(), open({ maxStalenessMs: 200 })];
    await Promise.all([busy, idle].map(replicasAreEligible));
    await handOver();
    await noticesHandOver(busy);
    const writer = busy.session();
    await writer.redis.set("k", "new");
    const isForgotten = (): boolean => idle.topology().every(({ positionAgeMs = 0 }) => positionAgeMs > 200);
    await waitUntil(isForgotten, {
      what: "the idle process has forgotten how fresh its replicas are",
    });
    for (let i = 0; i < 20; i++) {
      expect(await idle.session({ token: writer.token() }).redis.get("k")).toBe("new");
    }
    expect(takesWritesAt(idle)).toBe(addressOf(heir().server));
  });

  it("answers no strong read of an idle process that receives a token of the new primary", async () => {
    const [busy, idle] = [open(), open()];
    await Promise.all([busy, idle].map(replicasAreEligible));
    await handOver();
    await noticesHandOver(busy);
    const writer = busy.session();
    await writer.redis.set("k", "new");
    expect(await idle.session({ token: writer.token() }).redis.at("strong").get("k")).toBe("new");
  });

  it("answers strong reads only until Tidemark checks its role, and gets no write after that", async () => {
    const tidemark = open();
    await replicasAreEligible(tidemark);
    await handOver();
    await heir().server.admin().set("k", "new");
    const read = (): Promise<string | null> => tidemark.session({ level: "strong" }).redis.get("k");
    await waitUntil(async () => (await read()) === "new", {
      what: "the strong read returns the new value",
      timeoutMs: 5_000,
    });
    for (let i = 0; i < 50; i++) expect(await read()).toBe("new");
    await tidemark.session().redis.set("k", "newer");
    await tidemark.redis.set("ambient", "newer");
    expect(await heir().server.admin().mget("k", "ambient")).toEqual(["newer", "newer"]);
  });

  it("answers no pipeline and no transaction, in a session or outside any", async () => {
    const tidemark = open({ replicas: [] });
    await tidemark.ready();
    await stage.group.primary.replicate(heir().server);
    const reads = [tidemark.session().redis, tidemark.redis].flatMap((redis) => [
      () => redis.multi().get("k").exec(),
      () => redis.pipeline().get("k").dbsize().exec(),
      () => redis.pipeline().get("k").exec(),
    ]);
    await waitUntil(async () => (await tidemark.redis.get("k").catch(String)) !== "old", {
      what: "the demotion is noticed",
    });
    // Together, because each waits a while for a server that is the primary.
    const answers = reads.map((read) => read().catch((error: unknown) => [[error, null]]));
    for (const answer of await Promise.all(answers)) {
      expect(answer?.[0]?.[0]).toBeInstanceOf(NotPrimaryError);
    }
  });

  it("is noticed by a process that only writes outside any session", async () => {
    const tidemark = open();
    await replicasAreEligible(tidemark);
    await handOver();
    await waitUntil(async () => (await tidemark.redis.set("ambient", "new")) === "OK", {
      what: "writes succeed",
    });
    expect(await heir().server.admin().get("ambient")).toBe("new");
  });

  it("answers no read that waited during its absence, when it comes back empty", async () => {
    const tidemark = open({ redis: { maxRetriesPerRequest: null } });
    await replicasAreEligible(tidemark);
    await stage.group.primary.kill();
    const { server, link } = heir();
    await server.replicate(undefined);
    link.cut();
    await waitUntil(() => tidemark.topology()[0]?.eligible === false, { what: "the primary is ineligible" });
    const reads = [tidemark.session({ level: "strong" }).redis.get("k"), tidemark.redis.get("k")];
    await stage.group.primary.restart({ empty: true, args: ["--replicaof", link.host, String(link.port)] });
    expect(await Promise.all(reads)).toEqual(["old", "old"]);
    expect(await stage.group.primary.admin().exists("k")).toBe(0);
  });
});

describe.concurrent("a primary that was a replica for a while", () => {
  const nothing = [null, null, null];
  it.each([
    ["without replicas", 0],
    ["with replicas", 2],
  ])("is read from again, %s, and reads in between fail with NotPrimaryError", async (_what, count) => {
    const other = await RedisServer.start();
    stage.owe(other);
    const tidemark = open({ replicas: stage.group.replicas.slice(0, count).map(({ server }) => server.url) });
    await replicasAreEligible(tidemark);
    const ambient = (): Promise<unknown> => tidemark.redis.get("k");
    const strong = (): Promise<unknown> => tidemark.session({ level: "strong" }).redis.get("k");
    const isRefused = (read: Promise<unknown>): Promise<boolean> =>
      read.then(
        () => false,
        (error: unknown) => error instanceof NotPrimaryError,
      );
    await stage.group.primary.replicate(other);
    await stage.group.primary.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await waitUntil(
      async () => (await Promise.all([ambient(), strong()].map(isRefused))).every((refused) => refused),
      { what: "both reads are refused" },
    );
    await stage.group.primary.replicate(undefined);
    await waitUntil(async () => (await ambient()) === null, { what: "the read succeeds", timeoutMs: 5_000 });
    for (let i = 0; i < 20; i++) {
      expect(await Promise.all([ambient(), strong(), tidemark.session().redis.get("k")])).toEqual(nothing);
    }
  });
});

/** Servers that forbid INFO: a marker key shows how far their replicas have caught up. */
import { describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { startUsers } from "../support/load/users.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });

async function open(keys: string, verify: "when-needed" | "always" = "when-needed"): Promise<Tidemark> {
  const { primary, replicas } = stage.group;
  for (const server of [primary, ...replicas.map((one) => one.server)])
    await server.admin().call("ACL", "SETUSER", "app", "on", ">pw", keys, "+@all", "-@dangerous");
  const tidemark = openTidemark(stage.group, { redis: { username: "app", password: "pw" }, verify });
  stage.owe({ stop: () => tidemark.close() });
  return tidemark;
}

/** Reads what a new session has written until a replica answers; every answer has to be right. */
async function isAnsweredByReplica(tidemark: Tidemark, value: string): Promise<void> {
  const session = tidemark.session();
  await session.redis.set("k", value);
  using routes = listenToRoutes();
  await waitUntil(
    async () => {
      expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe(value);
      return routes.of("get").at(-1)?.startsWith("replica:") === true;
    },
    { what: "a replica answers" },
  );
}

describe("where INFO is forbidden", () => {
  it.each(["when-needed", "always"] as const)(
    "only replicas that have caught up answer, with verify %s",
    async (verify) => {
      const tidemark = await open("~*", verify);
      await isAnsweredByReplica(tidemark, "old");
      expect(tidemark.topology().map(({ proof }) => proof)).toEqual(["marker", "marker"]);
      stage.group.replicas[0]?.link.hold();
      const session = tidemark.session();
      await session.redis.set("k", "new");
      for (let i = 0; i < 20; i++)
        expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("new");
      stage.group.replicas[0]?.link.release();
      await isAnsweredByReplica(tidemark, "newest");
    },
  );

  it("only on the primary, the replicas are asked for the marker too", async () => {
    const tidemark = await open("~*");
    await stage.group.replicas[0]?.server.admin().call("ACL", "SETUSER", "app", "+info");
    await isAnsweredByReplica(tidemark, "v");
    await stage.group.replicas[0]?.server.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await isAnsweredByReplica(tidemark, "w");
    expect(tidemark.topology().map(({ proof, state }) => `${proof} ${state}`)).toEqual([
      "marker serving",
      "marker serving",
    ]);
  });

  it("and is allowed again, replicas are asked by INFO as soon as the primary is", async () => {
    const tidemark = await open("~*");
    await isAnsweredByReplica(tidemark, "v");
    const servers = [stage.group.primary, ...stage.group.replicas.map(({ server }) => server)];
    for (const server of servers) await server.admin().call("ACL", "SETUSER", "app", "+info");
    await stage.group.primary.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await isAnsweredByReplica(tidemark, "w");
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        return tidemark.topology().every(({ proof, state }) => proof === "position" && state === "serving");
      },
      { what: "INFO proves the positions again" },
    );
  });

  it("users find their own writes, and replicas answer again after connections were cut", async () => {
    stage.group.replicas[0]?.link.delay(20, 15);
    const tidemark = await open("~*");
    await isAnsweredByReplica(tidemark, "v");
    const users = startUsers(tidemark, 8);
    await waitUntil(() => users.findings.reads > 1_000, { what: "users have read 1,000 times" });
    const { stale } = await users.stop();
    expect(stale).toBe(0);
    await stage.group.primary.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await isAnsweredByReplica(tidemark, "w");
  });

  it("a replica that has lost its marker answers nothing", async () => {
    const tidemark = await open("~*");
    await isAnsweredByReplica(tidemark, "v");
    const replica = stage.group.replicas[0];
    replica?.link.hold();
    await replica?.server.admin().config("SET", "replica-read-only", "no");
    await replica?.server.admin().flushall();
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        return tidemark.topology()[1]?.reason === "marker key not found";
      },
      { what: "the replica has lost its marker" },
    );
  });

  it("the primary answers if the marker's key is forbidden too", async () => {
    const tidemark = await open("~k");
    using routes = listenToRoutes();
    const { redis } = tidemark.session();
    await redis.set("k", "v");
    for (let i = 0; i < 5; i++) expect(await redis.get("k")).toBe("v");
    expect(routes.of("get").every((route) => route.startsWith("primary:"))).toBe(true);
    expect(tidemark.topology().map(({ proof }) => proof)).toEqual(["none", "none"]);
  });
});

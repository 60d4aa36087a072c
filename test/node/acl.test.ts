/** Users with few rights, and passwords that change while connections are in use. */
import { describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { readsBack } from "../support/commands/reads-back.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });

function servers(): RedisServer[] {
  return [stage.group.primary, ...stage.group.replicas.map(({ server }) => server)];
}

/** Has every server know a user "app" with these rules. */
async function allow(...rules: string[]): Promise<void> {
  await Promise.all(servers().map((server) => server.admin().call("ACL", "SETUSER", "app", "on", ...rules)));
}

/** Ends the connections of everybody but the test. */
async function disconnectAll(server: RedisServer): Promise<void> {
  await server.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
}

function openAs(password: string, verify: "when-needed" | "always" = "when-needed"): Tidemark {
  const redis = { username: "app", password, maxRetriesPerRequest: 1 };
  const tidemark = openTidemark(stage.group, { redis, verify });
  stage.owe({ stop: () => tidemark.close() });
  return tidemark;
}

describe("a user", () => {
  it("with the rights to read, to write and to call INFO needs no other right", async () => {
    await allow(">secret", "~*", "-@all", "+get", "+set", "+info");
    await readsBack(openAs("secret"), "replica:known");
  });

  it('who may also send MULTI and EXEC can have every read proven by verify "always"', async () => {
    await allow(">secret", "~*", "-@all", "+get", "+set", "+info", "+multi", "+exec");
    await readsBack(openAs("secret", "always"), "replica:");
  });

  it("without dangerous commands, and so without INFO, reads and writes at the primary", async () => {
    await allow(">secret", "~k", "+@all", "-@dangerous");
    const tidemark = openAs("secret");
    const before = await servers()[1]?.commandCalls("get");
    for (let i = 0; i < 10; i++) await readsBack(tidemark, "primary:");
    expect(await servers()[1]?.commandCalls("get")).toBe(before);
    expect(tidemark.topology().find(({ role }) => role === "replica")?.reason).toContain("NOPERM");
  });

  it.each([
    ["a message", ["+publish", "&*", "~k"]],
    ["a key, where messages are forbidden", ["-publish", "resetchannels", "~*"]],
    ["a key, where its channel is", ["+publish", "resetchannels", "~*"]],
  ])("can make replicated writes, which Tidemark marks with %s", async (_, rules) => {
    await allow(">secret", "-@all", "+get", "+set", "+info", "+wait", ...rules);
    const session = openAs("secret").session();
    await session.replicated(1, { timeoutMs: 20_000 });
    expect(await session.redis.set("k", "v")).toBe("OK");
    stage.group.replicas[0]?.link.hold();
    session.replicated(1, { timeoutMs: 200 });
    await expect(session.redis.set("k", "w")).rejects.toMatchObject({ replicas: 0 });
    await stage.group.replicas[0]?.link.release();
  });

  it.each([
    ["who may send neither Tidemark's message nor its key", ["+wait", "~k", "resetchannels"]],
    ["who may not use WAIT", ["+publish", "&*", "~*"]],
  ])("%s gets an error that says so for a replicated write", async (_, rules) => {
    await allow(">secret", "-@all", "+get", "+set", "+info", ...rules);
    const session = openAs("secret").session();
    session.replicated(1, { timeoutMs: 20_000 });
    const failure: unknown = await session.redis.set("k", "v").catch((error) => error);
    expect(failure).toMatchObject({ code: "TIDEMARK_NOT_REPLICATED", replicas: undefined });
    expect(failure).toMatchObject({ cause: { message: expect.stringContaining("NOPERM") } });
    expect(await stage.group.primary.admin().get("k")).toBe("v");
  });

  it("who loses a right while reading is answered by the primary, as long as the primary allows the read", async () => {
    await allow(">secret", "~*", "+@all");
    const tidemark = openAs("secret");
    await readsBack(tidemark, "replica:known");
    await servers()[1]?.admin().call("ACL", "SETUSER", "app", "-get");
    await readsBack(tidemark, "primary:replica-failed");
    await servers()[1]?.admin().call("ACL", "SETUSER", "app", "+get");
    await readsBack(tidemark, "replica:");
  });
});

describe("a password that changes", () => {
  it("does not affect open connections, and leaves reads to the primary once a replica must be reconnected", async () => {
    await allow(">old", "~*", "+@all");
    const tidemark = openAs("old");
    await readsBack(tidemark, "replica:known");
    await allow("resetpass", ">new");
    await readsBack(tidemark, "replica:known");
    const [, replica] = servers();
    if (replica !== undefined) await disconnectAll(replica);
    await readsBack(tidemark, "primary:");
    const reason = (): string => tidemark.topology().find(({ role }) => role === "replica")?.reason ?? "";
    await waitUntil(() => reason().includes("WRONGPASS"), { what: "topology() shows WRONGPASS" });
    for (let i = 0; i < 10; i++) await readsBack(tidemark, "primary:");
    await allow(">old");
    await readsBack(tidemark, "replica:known");
  });

  it("makes commands that need a new connection to the primary fail clearly, until it is changed back", async () => {
    await allow(">old", "~*", "+@all");
    const tidemark = openAs("old");
    await readsBack(tidemark, "replica:known");
    await allow("resetpass", ">new");
    await Promise.all(servers().map(disconnectAll));
    const { redis } = tidemark.session();
    for (const call of [() => redis.set("k", "w"), () => redis.get("k"), () => tidemark.redis.get("k")]) {
      const said = await call().catch((error: unknown) => error);
      expect(said).toBeInstanceOf(Error);
      expect(String(said) + String(said instanceof Error ? said.cause : "")).toMatch(
        /WRONGPASS|retries|closed/,
      );
    }
    await allow(">old");
    await waitUntil(() => redis.set("k", "v").then(() => true), { what: "writes succeed again" });
    await readsBack(tidemark, "replica:");
  });
});

/** The commands of requests in the traces of an app that traces ioredis. */
import { SpanStatusCode } from "@opentelemetry/api";
import { AlwaysOnSampler } from "@opentelemetry/sdk-trace-node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import {
  commandAttributes,
  isOwnCommand,
  requestHook,
  withoutOwnCommands,
} from "../../src/opentelemetry/opentelemetry.js";
import { type Spans, traceByChannel, traceByInstrumentation } from "../support/listeners/spans.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { isWaiting } from "../support/stages/waiting-reads.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let spans: Spans;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark } = stage);
});

afterEach(() => spans[Symbol.dispose]());

/** Calls `act` in the span of a request and in a session with `token`. */
function request<Result>(
  name: string,
  act: (own: Tidemark) => Promise<Result>,
  { on = tidemark, token }: { readonly on?: Tidemark; readonly token?: string } = {},
): Promise<Result> {
  return spans.request(name, () => on.run(on.session(token === undefined ? {} : { token }), () => act(on)));
}

async function withOther(options: GroupOptions, act: (other: Tidemark) => Promise<void>): Promise<void> {
  await using other = openTidemark(group, options);
  await replicasAreEligible(other);
  spans.clear();
  await act(other);
}

/** A token of a write that held replicas do not have. */
async function written(key: string): Promise<string> {
  const session = tidemark.session();
  await session.redis.set(key, "new");
  return session.token();
}

describe.each([
  ["OpenTelemetry's instrumentation of ioredis", () => traceByInstrumentation({ requestHook })],
  ["a subscriber to the commands of ioredis", () => traceByChannel()],
])("With %s", (_how, startTracing) => {
  beforeEach(() => {
    spans = startTracing();
  });

  it("a request has one span for each of its commands, and none for Tidemark's questions", async () => {
    await request("one", async ({ redis }) => {
      await redis.set("k", "v");
      await redis.get("k");
      await Promise.all([redis.incr("n"), redis.get("k"), redis.get("n")]);
      await redis.multi().set("a", 1).get("a").exec();
      await redis.pipeline().get("a").get("k").exec();
    });
    expect(spans.firstOf("one")).toEqual("set get incr get get multi set get exec get get".split(" "));
  });

  it.each<[string, GroupOptions]>([
    ["every read is proven in a transaction", { verify: "always" }],
    ["reads are monotonic", { monotonicReads: true }],
  ])("a request has no span for Tidemark's questions when %s", async (_when, options) => {
    await withOther(options, async (on) => {
      await request("one", async ({ redis }) => redis.set("k", "v"), { on });
      for (let i = 0; i < 5; i++) await request("two", async ({ redis }) => redis.get("k"), { on });
    });
    expect(spans.firstOf("one")).toEqual(["set"]);
    expect(spans.firstOf("two")).toEqual(Array.from({ length: 5 }, () => "get"));
  });

  it("a request has no span for the marker key that replaces INFO", async () => {
    for (const server of [group.primary, ...group.replicas.map((replica) => replica.server)])
      await server.admin().call("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-@dangerous");
    await withOther({ redis: { username: "app", password: "pw" } }, async (on) => {
      expect(on.topology()[0]?.proof).toBe("marker");
      await request("one", async ({ redis }) => redis.set("k", "v"), { on });
      await request("two", async ({ redis }) => redis.get("k"), { on });
    });
    expect(spans.firstOf("one")).toEqual(["set"]);
    expect(spans.firstOf("two")).toEqual(["get"]);
  });

  it("a request that opens connections has no span for connecting and for handshakes", async () => {
    await spans.request("opens", async () => {
      await using other = openTidemark(group);
      await request("one", async ({ redis }) => redis.set("k", "v"), { on: other });
    });
    expect(spans.firstOf("opens")).toEqual(["one"]);
    expect(spans.firstOf("one")).toEqual(["set"]);

    await using lazy = openTidemark(group, { redis: { lazyConnect: true } });
    await request("lazy", async ({ redis }) => redis.set("k", "v"), { on: lazy });
    expect(spans.firstOf("lazy")).toEqual(["set"]);
  });

  it("a request that borrows a connection has only its own commands", async () => {
    await request("transaction", async ({ redis }) => {
      await redis.watch("k");
      await redis.get("k");
      await redis.multi().set("k", 1).exec();
    });
    expect(spans.firstOf("transaction")).toEqual("watch get multi set exec".split(" "));
    await request("block", async ({ redis }) => {
      await redis.rpush("list", "element");
      await redis.blpop("list", 1);
    });
    expect(spans.firstOf("block")).toEqual(["rpush", "blpop"]);
    const session = tidemark.session();
    await spans.request("replicated", async () => {
      await session.redis.set("k", "v");
      await session.replicated(1);
    });
    expect(spans.firstOf("replicated")).toEqual(["set"]);
  });

  it("a request that subscribes first has only its own command", async () => {
    await request("one", async ({ redis }) => redis.subscribe("channel"));
    // ioredis passes a command to itself once more when it has waited for the connection.
    expect(new Set(spans.firstOf("one"))).toEqual(new Set(["subscribe"]));
  });

  it("a read that waits for a replica belongs to its own request", async () => {
    holdReplicas(group);
    const token = await written("k");
    const waiting = ["one", "two", "three"].map((name) =>
      request(name, async ({ redis }) => redis.at({ waitMs: 20_000 }).get("k"), { token }),
    );
    await isWaiting(group);
    await request("other", async ({ redis }) => redis.get("n"));
    await releaseReplicas(group);
    expect(await Promise.all(waiting)).toEqual(["new", "new", "new"]);
    const keys = ["one", "two", "three", "other"].map((name) => [name, new Set(spans.firstOf(name))]);
    expect(keys).toEqual(keys.map(([name]) => [name, new Set(["get"])]));
    expect(spans.firstOf("other")).toHaveLength(1);
  });

  it("commands of many requests at the same time belong to their own requests", async () => {
    const names = Array.from({ length: 40 }, (_, index) => `request ${index}`);
    const each = names.map((name) =>
      request(name, async ({ redis }) => {
        await redis.set(name, "v");
        await redis.append(name, "w");
        return redis.get(name);
      }),
    );
    expect(new Set(await Promise.all(each))).toEqual(new Set(["vw"]));
    for (const name of names) expect(spans.firstOf(name)).toEqual(["set", "append", "get"]);
  });
});

describe("The span of a command", () => {
  beforeEach(() => {
    spans = traceByInstrumentation({ requestHook });
  });

  it("names the server that the command was sent to, its role, the reason and the level", async () => {
    await request("one", async ({ redis }) => {
      await redis.set("k", "v");
      await redis.at({ maxStalenessMs: 5_000 }).get("n");
      await redis.at("strong").get("k");
    });
    const all = spans.of("one").map(({ attributes }) => attributes);
    const [write, bounded, strong] = ["session", "bounded", "strong"].map((level) =>
      all.find((attributes) => attributes["tidemark.level"] === level),
    );
    const { host, port } = group.primary;
    expect(write).toMatchObject({
      ...{ "server.address": host, "server.port": port, "db.query.text": "set k [1 other arguments]" },
      ...{ "tidemark.role": "primary", "tidemark.reason": "not-a-read", "tidemark.level": "session" },
    });
    expect(strong).toMatchObject({
      ...{ "server.address": host, "server.port": port },
      ...{ "tidemark.role": "primary", "tidemark.reason": "strong", "tidemark.level": "strong" },
    });
    expect(strong).not.toHaveProperty("tidemark.lag_ms");
    expect(bounded).toMatchObject({
      ...{ "server.address": host, "server.port": expect.toBeOneOf(replicaPorts()) },
      ...{ "tidemark.role": "replica", "tidemark.reason": expect.toBeOneOf(["known", "checked"]) },
      "tidemark.lag_ms": expect.any(Number),
    });
    expect(bounded).not.toHaveProperty("tidemark.resend_count");
  });

  it("says how long the command was kept", async () => {
    holdReplicas(group);
    const token = await written("k");
    const waiting = request("one", async ({ redis }) => redis.at({ waitMs: 20_000 }).get("k"), { token });
    const givenAt = performance.now();
    await isWaiting(group);
    const waitedMs = performance.now() - givenAt;
    await releaseReplicas(group);
    await waiting;
    expect(spans.of("one").at(-1)?.attributes).toMatchObject({
      "tidemark.role": "replica",
      "tidemark.waited_ms": expect.toSatisfy((ms: number) => ms >= waitedMs),
    });
  });

  it("is followed by another span if the command is sent again", async () => {
    await withOther({ verify: "always" }, async (on) => {
      const token = await written("k");
      await replicasAreEligible(on);
      holdReplicas(group);
      const session = on.session({ token });
      const newer = await written("k");
      expect(newer).not.toBe(session.token());
      await waitUntil(
        async () => {
          spans.clear();
          await request("one", async ({ redis }) => redis.get("k"), { on, token: newer });
          return spans.of("one").length > 1;
        },
        { what: "a replica is tried and is behind" },
      );
    });
    const [first, second] = spans.of("one");
    expect([first?.status.code, second?.status.code]).toEqual([SpanStatusCode.UNSET, SpanStatusCode.UNSET]);
    expect(first?.attributes).toMatchObject({
      ...{ "tidemark.role": "replica", "server.port": expect.toBeOneOf(replicaPorts()) },
    });
    expect(second?.attributes).toMatchObject({
      ...{ "tidemark.role": "primary", "server.port": group.primary.port },
      ...{ "tidemark.reason": "check-failed", "tidemark.resend_count": 1 },
    });
  });

  it("has no attributes of Tidemark for a client that belongs to no Tidemark", async () => {
    const admin = group.primary.admin();
    await spans.request("one", () => admin.get("k"));
    expect(
      Object.keys(spans.of("one")[0]?.attributes ?? {}).filter((name) => name.startsWith("tidemark")),
    ).toEqual([]);
  });
});

describe("commandAttributes", () => {
  it("returns the attributes to a subscriber to the commands of ioredis", async () => {
    const seen: unknown[] = [];
    spans = traceByChannel(() =>
      seen.push(isOwnCommand() ? "own" : commandAttributes()?.["tidemark.reason"]),
    );
    await request("one", async ({ redis }) => redis.set("k", "v"));
    expect(new Set(seen)).toEqual(new Set(["not-a-read", "own"]));
    expect([isOwnCommand(), commandAttributes()]).toEqual([false, undefined]);
  });
});

describe("withoutOwnCommands", () => {
  const useAll = async (): Promise<void> => {
    await using other = openTidemark(group);
    await replicasAreEligible(other);
    await other.session().redis.set("k", "v");
  };

  it("drops the spans of Tidemark's own commands, which an instrumentation without parents would begin", async () => {
    spans = traceByInstrumentation({ requireParentSpan: false });
    await useAll();
    expect(spans.orphans()).toEqual(expect.arrayContaining(["connect", "info", "set", "get"]));
    spans[Symbol.dispose]();

    spans = traceByInstrumentation(
      { requireParentSpan: false },
      { sampler: withoutOwnCommands(new AlwaysOnSampler()) },
    );
    await useAll();
    expect(new Set(spans.orphans())).toEqual(new Set(["connect", "set", "get"]));
  });
});

function replicaPorts(): number[] {
  return group.replicas.map(({ server }) => server.port);
}

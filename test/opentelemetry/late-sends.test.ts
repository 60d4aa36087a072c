/** Commands that Tidemark sends later than they were given, or again, in the traces of their requests. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { SpanStatusCode } from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { requestHook } from "../../src/opentelemetry/opentelemetry.js";
import { traceByChannel, traceByInstrumentation } from "../support/listeners/spans.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { promoteFirst, promotionIsNoticed } from "../support/servers/promotion.js";
import { startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageOwn } from "../support/stages/own-stage.js";
import { waitUntil } from "../support/wait-until.js";

const own = stageOwn(async (owe) => {
  const group = await startReplicationGroup({ replicas: 2 });
  owe(() => group.stop());
  const tidemark = openTidemark(group, { primaryTimeoutMs: 3_000 });
  owe(() => tidemark.close());
  await replicasAreEligible(tidemark);
  return { group, tidemark, owe };
});

type Act = (redis: ReturnType<typeof own>["tidemark"]["redis"]) => Promise<unknown>;

/** Begins requests, and returns when their commands are given. */
function begin(
  spans: ReturnType<typeof traceByChannel>,
  requests: Readonly<Record<string, Act>>,
): Promise<unknown> {
  const { tidemark } = own();
  const begun = Object.entries(requests).map(([name, act]) =>
    spans.request(name, () => tidemark.run(tidemark.session(), () => act(tidemark.redis))),
  );
  return Promise.all(begun);
}

describe.each([
  ["OpenTelemetry's instrumentation of ioredis", () => traceByInstrumentation({ requestHook })],
  ["a subscriber to the commands of ioredis", () => traceByChannel()],
])("With %s", (_how, startTracing) => {
  it("commands that wait for a connection belong to their own requests", async () => {
    const { group, tidemark } = own();
    using spans = startTracing();
    await group.primary.kill();
    await waitUntil(() => tidemark.topology()[0]?.state !== "serving", { what: "the primary is gone" });
    const waiting = begin(spans, {
      one: (redis) => redis.set("one", 1),
      two: (redis) => redis.at("strong").get("two"),
      three: (redis) => redis.pipeline().incr("three").get("three").exec(),
      four: (redis) => redis.watch("four"),
    });
    await group.primary.restart();
    await waiting;
    const seen = ["one", "two", "three", "four"].map((name) => spans.firstOf(name));
    expect(seen).toEqual([["set"], ["get"], ["incr", "get"], ["watch"]]);
  });

  it("commands that a demoted primary refuses belong to their own requests when they are sent again", async () => {
    const { group } = own();
    using spans = startTracing();
    await promoteFirst(group);
    await begin(spans, {
      one: (redis) => redis.set("one", 1),
      two: (redis) => redis.incr("two"),
      three: (redis) => redis.multi().set("three", 3).exec(),
    });
    const seen = ["one", "two", "three"].map((name) => [...new Set(spans.firstOf(name))]);
    expect(seen).toEqual([["set"], ["incr"], ["multi", "set", "exec"]]);
    expect(spans.orphans().filter((name) => /^(set|incr|multi|exec)$/.test(name))).toEqual([]);
  });

  it("an unproven answer while the primary is gone belongs to its request", async () => {
    const { group, tidemark } = own();
    using spans = startTracing();
    await group.primary.kill();
    const session = tidemark.session({ level: { level: "strong", staleIfPrimaryGone: true } });
    await spans.request("one", () => session.redis.get("k"));
    expect(session.stale).toBe(true);
    expect(new Set(spans.firstOf("one"))).toEqual(new Set(["get"]));
  });
});

it("ioredis names the present primary when it traces a transaction", async () => {
  const { group, tidemark } = own();
  const seen: unknown[] = [];
  const onStart = (message: unknown): void => {
    seen.push(Reflect.get(Object(message), "serverPort"));
  };
  await tidemark.redis.get("k");
  subscribe("tracing:ioredis:batch:start", onStart);
  try {
    await tidemark.redis.multi().set("k", 1).exec();
    const heir = await failOver(group, replicaOf(group));
    await promotionIsNoticed(tidemark, heir);
    await tidemark.redis.multi().set("k", 2).exec();
    expect(seen).toEqual([group.primary.port, heir.port]);
  } finally {
    unsubscribe("tracing:ioredis:batch:start", onStart);
  }
});

describe("The spans of a write that is sent again", () => {
  it("name both servers, and only the last one has succeeded", async () => {
    const { group } = own();
    using spans = traceByInstrumentation({ requestHook });
    const promoted = await promoteFirst(group);
    await begin(spans, { one: (redis) => redis.set("k", "v") });
    const [first, ...others] = spans.of("one");
    const last = others.at(-1);
    expect(first?.status.code).toBe(SpanStatusCode.ERROR);
    expect(first?.attributes).toMatchObject({
      "server.port": group.primary.port,
      "tidemark.role": "primary",
    });
    expect(last?.status.code).toBe(SpanStatusCode.UNSET);
    expect(last?.attributes).toMatchObject({
      "server.port": promoted.port,
      "tidemark.resend_count": others.length,
    });
  });

  it("belong to its own request if a duplicate has moved to another primary", async () => {
    const { group, tidemark, owe } = own();
    const duplicate = tidemark.redis.duplicate();
    owe(() => duplicate.disconnect());
    await duplicate.ping();
    using spans = traceByInstrumentation({ requestHook });
    const promoted = await promoteFirst(group);
    await Promise.all([
      spans.request("one", () => duplicate.set("one", 1)),
      spans.request("two", () => duplicate.incr("two")),
    ]);
    for (const name of ["one", "two"]) {
      const last = spans.of(name).at(-1);
      expect(last?.attributes["server.port"]).toBe(promoted.port);
      expect(last?.status.code).toBe(SpanStatusCode.UNSET);
    }
  });

  it("name the new primary after a failover", async () => {
    const { group, tidemark } = own();
    const heir = await failOver(group, replicaOf(group));
    await promotionIsNoticed(tidemark, heir);
    using spans = traceByInstrumentation({ requestHook });
    await begin(spans, { one: (redis) => redis.set("k", "v") });
    expect(spans.of("one").map(({ attributes }) => attributes["server.port"])).toEqual([heir.port]);
  });
});

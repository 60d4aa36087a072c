/** The messages of `tidemark:route`: what became of each command, at which server, and how long it took. */
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import { ConnectionLostError, type RouteMessage, routeChannel, Tidemark } from "../../src/index.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let heard: RouteMessage[];

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark } = stage);
});

const listener = (message: RouteMessage): void => {
  heard.push(message);
};

beforeEach(() => {
  heard = [];
  routeChannel.subscribe(listener);
});

afterEach(() => {
  routeChannel.unsubscribe(listener);
});

function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host}:${port}`;
}

it("names the Tidemark, the session, the server, the outcome and the duration", async () => {
  const session = tidemark.session();
  const before = performance.now();
  await session.redis.set("key", "value");
  expect(heard).toEqual([
    {
      tidemark,
      session,
      command: "set",
      node: addressOf(group.primary),
      role: "primary",
      reason: "not-a-read",
      level: "session",
      outcome: "answered",
      durationMs: expect.any(Number),
    },
  ]);
  const durationMs = heard[0]?.durationMs ?? 0;
  expect(durationMs).toBeGreaterThan(0);
  expect(durationMs).toBeLessThanOrEqual(performance.now() - before);
});

it("has no session for a command outside of sessions", async () => {
  await tidemark.redis.get("key");
  expect(heard).toMatchObject([{ tidemark, session: undefined, command: "get", reason: "no-session" }]);
});

it("arrives before the promise of the command resolves", async () => {
  const order: string[] = [];
  const note = ({ command }: RouteMessage): void => void order.push(`message of ${command}`);
  routeChannel.subscribe(note);
  onTestFinished(() => void routeChannel.unsubscribe(note));
  await tidemark.redis.get("key").then(() => order.push("get is answered"));
  expect(order).toEqual(["message of get", "get is answered"]);
});

it("says that a server has answered with an error", async () => {
  const { redis } = tidemark.session();
  await redis.set("key", "text");
  await expect(redis.incr("key")).rejects.toThrow("not an integer");
  expect(heard.map(({ command, outcome }) => `${command} ${outcome}`)).toEqual([
    "set answered",
    "incr answered",
  ]);
});

it("comes once for each server: the replica whose answer was discarded, then the primary", async () => {
  const readAfterHolding = async (): Promise<boolean> => {
    await releaseReplicas(group);
    await replicasAreEligible(tidemark);
    holdReplicas(group);
    const writer = tidemark.session();
    await writer.redis.set("key", "new");
    heard = [];
    await tidemark.session({ token: writer.token() }).redis.get("key");
    return heard.length > 1;
  };
  await waitUntil(readAfterHolding, { what: "a read was sent to a replica that lacks the write" });
  expect(heard.map(({ role, reason, outcome }) => `${role} ${reason} ${outcome}`)).toEqual([
    "replica checked discarded",
    "primary check-failed answered",
  ]);
  for (const { durationMs } of heard) expect(durationMs).toBeGreaterThan(0);
});

it("says that a command failed if the connection was lost before the answer", async () => {
  const proxy = await TcpProxy.start({ targetPort: group.primary.port });
  const behindProxy = new Tidemark({ primary: { host: "127.0.0.1", port: proxy.port } });
  onTestFinished(async () => {
    await behindProxy.close({ timeoutMs: 0 });
    await proxy.stop();
  });
  behindProxy.redis.on("error", () => {});
  await behindProxy.ready();
  proxy.stall();
  const write = behindProxy.session().redis.incr("counter");
  const failure = expect(write).rejects.toThrow(ConnectionLostError);
  proxy.cut();
  await failure;
  expect(heard).toMatchObject([{ tidemark: behindProxy, command: "incr", outcome: "failed" }]);
});

it("comes for each command of a pipeline and of a transaction", async () => {
  const { redis } = tidemark.session();
  await redis.pipeline().set("key", 1).incr("key").exec();
  await redis.multi().incr("key").exec();
  expect(heard.map(({ command, outcome }) => `${command} ${outcome}`)).toEqual(
    ["set", "incr", "multi", "incr", "exec"].map((command) => `${command} answered`),
  );
});

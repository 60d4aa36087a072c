/** Commands on one key that wait while a cluster cannot execute an earlier one. */
import type { Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { FakeServer } from "../support/servers/fake-server.js";
import { sound } from "../support/servers/sound-replies.js";
import { waitUntil } from "../support/wait-until.js";

let stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});

/** A cluster of one node that answers SET with CLUSTERDOWN until `recover` is called. */
async function startBroken() {
  let isDown = true;
  const server: FakeServer = await FakeServer.start((name, args) => {
    if (name === "set" && isDown) return new Error("CLUSTERDOWN The cluster is down");
    return sound(() => server.port, name, args);
  });
  const tidemark = new Tidemark({
    cluster: [{ host: server.host, port: server.port }],
    redis: { protocol: 2 },
  });
  stops.push(
    () => server.stop(),
    () => tidemark.close({ timeoutMs: 0 }),
  );
  await tidemark.ready();
  const orders = (): string[] =>
    server.received.flatMap(([name = "", key = "", what = ""]) =>
      key === "foo" ? [`${name} ${what}`.trim()] : [],
    );
  return { tidemark, recover: () => (isDown = false), orders };
}

const ways: Readonly<Record<string, (tidemark: Tidemark) => Redis>> = {
  "outside any session": (tidemark) => tidemark.redis,
  "in a session": (tidemark) => tidemark.session().redis,
};

describe.each(Object.entries(ways))("%s", (_way, redisOf) => {
  it("are sent once each and in order when the pause is over", async () => {
    const { tidemark, recover, orders } = await startBroken();
    const redis = redisOf(tidemark);
    const first = redis.set("foo", "1");
    await waitUntil(() => orders().length > 0, { what: "the first command was refused" });
    // The refusal is read in one turn, and the pause has begun in the next ones.
    await waitUntil(() => orders().length > 5, { what: "the first command was sent several times" });
    const others = [
      redis.append("foo", "2"),
      redis.append("foo", "3"),
      redis.pipeline().append("foo", "4").get("foo").exec(),
      redis.multi().append("foo", "5").exec(),
      redis.append("foo", "6"),
    ];
    recover();
    await Promise.all([first, ...others]);
    const since = orders().lastIndexOf("set 1");
    expect(
      orders()
        .slice(since)
        .map((order) => order.toLowerCase()),
    ).toEqual(["set 1", ...["append 2", "append 3", "append 4", "get", "append 5", "append 6"]]);
  });
});

/** Channels that belong to shards of a cluster. */
import { describe, expect, it } from "vitest";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();
const slots = [1, 6_000, 16_000];
const channels = slots.map((slot) => keyIn(slot, "news"));

describe("SSUBSCRIBE", () => {
  it("subscribes to channels of every shard, whichever comes first", async () => {
    const tidemark = await stage.open();
    const heard: string[] = [];
    tidemark.redis.on("smessage", (channel, text) => heard.push(`${channel} ${text}`));
    for (const channel of channels) await tidemark.redis.ssubscribe(channel);
    for (const [i, channel] of channels.entries())
      await (await stage.group.primaryOf(slots[i] ?? 0)).server.admin().spublish(channel, "1");
    await waitUntil(() => heard.length === 3, { what: "all three messages have arrived" });
    expect(heard.sort()).toEqual(channels.map((channel) => `${channel} 1`).sort());
    await tidemark.redis.sunsubscribe(channels[0] ?? "");
    await tidemark.redis.sunsubscribe();
    const counts = await Promise.all(
      stage.group.nodes.map(({ server }) => server.admin().call("PUBSUB", "SHARDNUMSUB", ...channels)),
    );
    expect(counts.flat().filter((count) => typeof count === "number" && count > 0)).toEqual([]);
  });

  it("follows a channel whose slot is moved to another shard", async () => {
    const tidemark = await stage.open();
    const heard: string[] = [];
    tidemark.redis.on("smessage", (_channel, text) => heard.push(text));
    const slot = 2;
    const channel = keyIn(slot, "moved");
    await tidemark.redis.ssubscribe(channel);
    const to = await stage.group.primaryOf(6_000);
    const migration = await stage.group.migration(slot, to);
    await migration.run();
    await waitUntil(
      async () => {
        await to.server.admin().spublish(channel, "moved");
        return heard.includes("moved");
      },
      { what: "messages of the new shard arrive" },
    );
    const next = keyIn(slot, "next");
    expect(await tidemark.redis.ssubscribe(next)).toBeGreaterThan(0);
  });
});

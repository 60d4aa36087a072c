import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { slotOf, tagOf } from "../support/commands/hash-slot.js";
import { type ClusterNode, startClusterNode } from "../support/servers/cluster-node.js";

describe("The slot of a key", () => {
  let node: ClusterNode;

  beforeAll(async () => {
    node = await startClusterNode([]);
  });

  afterAll(async () => {
    await node.stop();
  });

  test.each(["", "k", "123456789", "köy", "{a}b", "b{a}", "a{b}{c}", "a{}{b}", "a{b{c}}", "}a{b}", "a{b"])(
    "of %j matches Redis",
    async (key) => {
      expect(slotOf(key)).toBe(await node.server.admin().call("CLUSTER", "KEYSLOT", key));
    },
  );

  test.each([0, 1, 8_000, 16_383])("%j has a tag, and all keys with that tag are in the slot", (slot) => {
    expect(slotOf(`one{${tagOf(slot)}}`)).toBe(slot);
    expect(slotOf(`{${tagOf(slot)}}other`)).toBe(slot);
  });
});

import { describe, expect, it } from "vitest";
import { parseSlotOwners } from "../../src/topology/slot-map.js";

const asked = { host: "10.0.0.9", port: 7000 };
const nodes = [
  "aaa 10.0.0.1:7000@17000 myself,master - 0 0 5 connected 0-99",
  "bbb 10.0.0.2:7000@17000 slave aaa 0 0 5 connected",
  "ccc 10.0.0.3:7000@17000 master - 0 0 7 connected 100-16383",
].join("\n");
const a = ["10.0.0.1", 7000, "aaa"];
const b = ["10.0.0.2", 7000, "bbb"];
const c = ["10.0.0.3", 7000, "ccc"];

describe("parseSlotOwners()", () => {
  it("collects the ranges of each primary, with its replicas and its epoch", () => {
    const slots = [
      [0, 49, a, b],
      [100, 16_383, c],
      [50, 99, a, b],
    ];
    expect(parseSlotOwners(slots, nodes, asked)).toEqual([
      {
        primary: { host: "10.0.0.1", port: 7000 },
        replicas: [{ host: "10.0.0.2", port: 7000 }],
        epoch: 5,
        ranges: [
          [0, 49],
          [50, 99],
        ],
      },
      { primary: { host: "10.0.0.3", port: 7000 }, replicas: [], epoch: 7, ranges: [[100, 16_383]] },
    ]);
  });

  it.each(["", null])("uses the queried host for a node that does not know its own [%s]", (host) => {
    const [owner] = parseSlotOwners([[0, 1, [host, 7001, "aaa"]]], nodes, asked) ?? [];
    expect(owner?.primary).toEqual({ host: "10.0.0.9", port: 7001 });
  });

  it("leaves out nodes without a host name", () => {
    const slots = [
      [0, 1, ["?", 7000, "aaa"], b],
      [2, 3, c, ["?", 7000, "ddd"]],
    ];
    const owners = parseSlotOwners(slots, nodes, asked);
    expect(owners?.map(({ primary, replicas }) => [primary.host, replicas])).toEqual([["10.0.0.3", []]]);
  });

  it.each([
    ["a port of 0", ["10.0.0.2", 0, "bbb"]],
    ["a host with a line break", ["10.0\n", 7000, "bbb"]],
    ["nothing", null],
  ])("leaves out a replica with %s, and keeps the others", (_what, replica) => {
    const owners = parseSlotOwners([[0, 1, a, replica, b]], nodes, asked);
    expect(owners?.map(({ primary, replicas }) => [primary.host, replicas])).toEqual([
      ["10.0.0.1", [{ host: "10.0.0.2", port: 7000 }]],
    ]);
  });

  it("finds the epochs of 1,000 primaries behind nine replicas each", () => {
    const replicas = Array.from(
      { length: 9_000 },
      (_, i) => `r${i} 10.1.0.1:7000@17000 slave p 0 0 1 connected`,
    );
    const primaries = Array.from(
      { length: 1_000 },
      (_, i) => `p${i} 10.2.0.1:${i + 1}@1 master - 0 0 9 connected`,
    );
    const slots = primaries.map((_line, i) => [i, i, ["10.2.0.1", i + 1, `p${i}`]]);
    const owners = parseSlotOwners(slots, [...replicas, ...primaries].join("\n"), asked);
    expect(owners).toHaveLength(1_000);
    expect(new Set(owners?.map(({ epoch }) => epoch))).toEqual(new Set([9]));
  });

  it("works without epochs when CLUSTER NODES is forbidden", () => {
    expect(parseSlotOwners([[0, 1, a]], undefined, asked)?.[0]?.epoch).toBe(0);
  });

  it.each([undefined, "OK", ["no range"]])("finds nothing in %j", (reply) => {
    expect(parseSlotOwners(reply, nodes, asked)).toBeUndefined();
  });
});

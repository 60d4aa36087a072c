/** The sentence that says whether Tidemark works, and the share of reads behind it. */
import { describe, expect, it } from "vitest";
import { readCounts, replicaShare } from "../../page/read-counts.js";
import { verdictOf } from "../../page/verdict.js";
import type { NodeState, Reason } from "../../src/diagnostics/channels.js";
import type { Sample, SampledNode } from "../../src/http/dashboard/feed-messages.js";

const ofReplicas: ReadonlySet<Reason> = new Set(["known", "checked", "primary-gone", "unproven"]);

function node(role: SampledNode["role"], state: NodeState, port: number): SampledNode {
  return { address: `127.0.0.1:${port}`, role, state, eligible: state === "serving", latencyMs: 1 };
}

function sample(nodes: readonly SampledNode[], counts: Partial<Record<Reason, number>> = {}): Sample {
  const reasons = Object.keys(counts) as Reason[];
  return {
    at: 0,
    nodes,
    commands: reasons.map((reason) => ({
      role: ofReplicas.has(reason) ? "replica" : "primary",
      reason,
      count: counts[reason] ?? 0,
    })),
    waits: { caughtUp: 0, timedOut: 0, aborted: 0 },
    fallback: { reads: 0, refused: 0, active: 0, waiting: 0 },
  };
}

const primary = node("primary", "serving", 7000);
const replicas = (...states: NodeState[]) =>
  states.map((state, index) => node("replica", state, 7001 + index));

describe("The share of reads that replicas answer", () => {
  const shareOf = (counts: Partial<Record<Reason, number>>) => replicaShare(readCounts([sample([], counts)]));

  it("leaves out writes", () => {
    expect(shareOf({ known: 3, strong: 1, "not-a-read": 96 })).toBe(0.75);
  });

  it("counts a read once if its first answer was discarded", () => {
    expect(
      shareOf({ known: 70, checked: 30, "check-failed": 10, "replica-failed": 5, "missing-key": 5 }),
    ).toBe(0.8);
  });

  it("leaves reads that were sent again with the reason for which the primary got them", () => {
    const counts = readCounts([sample([], { known: 5, checked: 2, "check-failed": 3 })]);
    expect([...counts]).toEqual([
      ["known", 4],
      ["check-failed", 3],
    ]);
  });

  it("adds up samples, because both commands of a read may be in different ones", () => {
    const counts = [sample([], { checked: 1 }), sample([], { "check-failed": 1 })];
    expect(replicaShare(readCounts(counts))).toBe(0);
  });

  it("is not known without reads", () => {
    expect(shareOf({ "not-a-read": 5 })).toBeUndefined();
  });
});

describe("The verdict", () => {
  it.each<[string, readonly SampledNode[], string, string]>([
    ["nothing is known", [], "unknown", "There is no data yet."],
    ["all replicas serve", [primary, ...replicas("serving", "serving")], "good", "All replicas serve."],
    ["the only replica serves", [primary, ...replicas("serving")], "good", "The replica serves."],
    ["there is no replica", [primary], "warn", "There is no replica. The primary answers all reads."],
    [
      "the replicas have weight 0",
      [primary, ...replicas("excluded", "excluded")],
      "warn",
      "There is no replica. The primary answers all reads.",
    ],
    [
      "one replica has weight 0",
      [primary, ...replicas("serving", "excluded")],
      "good",
      "The replica serves.",
    ],
    [
      "one replica is cut off",
      [primary, ...replicas("serving", "link-down")],
      "warn",
      "1 of 2 replicas is not used: 127.0.0.1:7002 has lost the connection to its primary.",
    ],
    [
      "no replica is used",
      [primary, ...replicas("behind", "silent")],
      "bad",
      "No replica is used: 127.0.0.1:7001 is too far behind, and 1 more.",
    ],
    [
      "the replicas start",
      [primary, ...replicas("starting")],
      "warn",
      "No replica is used: 127.0.0.1:7001 is starting.",
    ],
    [
      "the primary is gone",
      [node("primary", "silent", 7000), ...replicas("serving")],
      "bad",
      "The primary is gone: 127.0.0.1:7000 does not answer. Writes fail. Replicas answer only reads that they can still prove.",
    ],
    [
      "the primary loads its data",
      [node("primary", "loading", 7000), ...replicas("serving")],
      "bad",
      "The primary cannot be used: 127.0.0.1:7000 loads its data. Writes fail. Replicas answer only reads that they can still prove.",
    ],
    [
      "a primary of a cluster is gone",
      [primary, node("primary", "silent", 7010), ...replicas("serving")],
      "bad",
      "1 of 2 primaries cannot be used: 127.0.0.1:7010 does not answer. Writes to their keys fail.",
    ],
  ])("says it when %s", (_case, nodes, level, text) => {
    expect(verdictOf([sample(nodes)])).toMatchObject({ level, text });
  });

  const shareWith = (counts: Partial<Record<Reason, number>>) =>
    verdictOf([sample([primary, ...replicas("serving")], counts)]).share;

  it("says how many reads replicas answer", () => {
    expect(shareWith({ known: 93, strong: 7 })).toBe("Replicas answered 93 % of reads in the last minute.");
    expect(shareWith({ known: 999, strong: 1 })).toBe(
      "Replicas answered > 99 % of reads in the last minute.",
    );
    expect(shareWith({})).toBe("No reads in the last minute.");
  });

  it("names the reason if replicas answer few reads", () => {
    expect(shareWith({ known: 10, "no-session": 70, strong: 20 })).toBe(
      "Replicas answered 10 % of reads in the last minute. Most often the reason was no-session.",
    );
  });

  it("leaves out reads that are older than a minute", () => {
    const nodes = [primary, ...replicas("serving")];
    const samples = [
      { ...sample(nodes, { strong: 100 }), at: 0 },
      { ...sample(nodes, { known: 1 }), at: 60_000 },
    ];
    expect(verdictOf(samples).share).toBe("Replicas answered 100 % of reads in the last minute.");
  });

  it.each<[string, readonly SampledNode[]]>([
    ["there is no replica", [primary]],
    ["the primary is gone", [node("primary", "silent", 7000), ...replicas("serving")]],
  ])("leaves out the share when %s", (_case, nodes) => {
    expect(verdictOf([sample(nodes, { known: 59, strong: 41 })]).share).toBe("");
  });

  it.each<[string, readonly SampledNode[], string]>([
    [
      "the only ones",
      [primary],
      "There is no replica. 2 replicas have left in the last five minutes. The primary answers all reads.",
    ],
    [
      "one of two",
      [primary, ...replicas("serving")],
      "1 replica has left in the last five minutes. All others serve.",
    ],
    [
      "a former primary",
      [node("primary", "serving", 7001), ...replicas("serving", "serving").slice(1)],
      "1 server has left in the last five minutes. All others serve.",
    ],
  ])("warns of servers that have left: %s", (_case, nodes, text) => {
    const before = sample([primary, ...replicas("serving", "serving")]);
    expect(verdictOf([before, sample(nodes)])).toMatchObject({ level: "warn", text });
  });

  it("does not warn of a server that has left without having been used", () => {
    const before = sample([primary, ...replicas("serving", "excluded")]);
    expect(verdictOf([before, sample([primary, ...replicas("serving")])]).level).toBe("good");
  });
});

/** Whether a write survived failovers, as far as INFO replies prove it. */
import { describe, expect, it } from "vitest";
import { Lineage } from "../../src/replication/lineage.js";
import type { ReplicationInfo } from "../../src/replication/replication-info.js";

/** The report of the promoted primary of `replid`: its history left that of `parent` at `divergesAt`. */
function promoted(replid: string, parent: string, divergesAt: number, backlogActive = true): ReplicationInfo {
  return { role: "primary", replid, offset: 9000, ancestor: { replid: parent, divergesAt }, backlogActive };
}

/** The report of a replica that followed the promotion. */
function follower(replid: string, parent: string, divergesAt: number): ReplicationInfo {
  return { ...promoted(replid, parent, divergesAt), role: "replica", linkUp: true, syncing: false };
}

function knowing(...seen: readonly ReplicationInfo[]): Lineage {
  const lineage = new Lineage();
  for (const one of seen) lineage.learn(one);
  return lineage;
}

describe("Lineage.presenceOf", () => {
  it("is valid in the history of the write, whatever else is known", () => {
    expect(knowing().presenceOf({ replid: "X", offset: 77 }, "X")).toBe("valid");
    expect(knowing(promoted("Y", "X", 50)).presenceOf({ replid: "X", offset: 77 }, "X")).toBe("valid");
  });

  it("is unknown in a history without a known ancestor", () => {
    expect(knowing().presenceOf({ replid: "X", offset: 77 }, "Y")).toBe("unknown");
    expect(knowing(promoted("Y", "W", 78)).presenceOf({ replid: "X", offset: 77 }, "Y")).toBe("unknown");
  });

  it("is valid before the divergence and lost from it on, when the promoted primary reported the divergence", () => {
    const lineage = knowing(promoted("Y", "X", 78));
    expect(lineage.presenceOf({ replid: "X", offset: 77 }, "Y")).toBe("valid");
    expect(lineage.presenceOf({ replid: "X", offset: 78 }, "Y")).toBe("lost");
    expect(lineage.presenceOf({ replid: "X", offset: 79 }, "Y")).toBe("lost");
  });

  it("is unknown, never lost, from the divergence on when only a replica reported the divergence", () => {
    const lineage = knowing(follower("Y", "X", 60));
    expect(lineage.presenceOf({ replid: "X", offset: 59 }, "Y")).toBe("valid");
    expect(lineage.presenceOf({ replid: "X", offset: 77 }, "Y")).toBe("unknown");
  });

  it("is one-way: the old history proves nothing about a write made in the new one", () => {
    expect(knowing(promoted("Y", "X", 78)).presenceOf({ replid: "Y", offset: 20 }, "X")).toBe("unknown");
  });

  it.each([
    ["the primary first", [promoted("Y", "X", 78), follower("Y", "X", 60)]],
    ["a replica first", [follower("Y", "X", 60), promoted("Y", "X", 78)]],
  ])("keeps the largest divergence seen, %s", (_, seen) => {
    const lineage = knowing(...seen);
    expect(lineage.presenceOf({ replid: "X", offset: 77 }, "Y")).toBe("valid");
    expect(lineage.presenceOf({ replid: "X", offset: 78 }, "Y")).toBe("lost");
  });

  it("learns nothing from a node without an active backlog", () => {
    const lineage = knowing(promoted("Y", "X", 78, false));
    expect(lineage.presenceOf({ replid: "X", offset: 10 }, "Y")).toBe("unknown");
    expect(lineage.presenceOf({ replid: "X", offset: 99 }, "Y")).toBe("unknown");
  });

  it("learns nothing from a node without an ancestor", () => {
    const lineage = knowing({ ...promoted("Y", "X", 78), ancestor: undefined });
    expect(lineage.presenceOf({ replid: "X", offset: 10 }, "Y")).toBe("unknown");
  });
});

describe("Lineage.presenceOf over several failovers", () => {
  const lineage = knowing(promoted("Y", "X", 78), promoted("Z", "Y", 301));

  it("is valid when the write came before every divergence", () => {
    expect(lineage.presenceOf({ replid: "X", offset: 77 }, "Z")).toBe("valid");
    expect(lineage.presenceOf({ replid: "Y", offset: 300 }, "Z")).toBe("valid");
  });

  it("is lost when the write came after any divergence", () => {
    expect(lineage.presenceOf({ replid: "X", offset: 78 }, "Z")).toBe("lost");
    expect(lineage.presenceOf({ replid: "Y", offset: 301 }, "Z")).toBe("lost");
  });

  it("is lost when the write came after a later divergence, even if it came before an earlier one", () => {
    const back = knowing(promoted("Y", "X", 78), promoted("Z", "Y", 51));
    expect(back.presenceOf({ replid: "X", offset: 77 }, "Z")).toBe("lost");
    expect(back.presenceOf({ replid: "X", offset: 50 }, "Z")).toBe("valid");
  });

  it("is unknown after a failover that nobody observed", () => {
    const gap = knowing(promoted("Z", "Y", 301));
    expect(gap.presenceOf({ replid: "X", offset: 77 }, "Z")).toBe("unknown");
  });

  it("stays lost below a divergence that only a replica reported", () => {
    const mixed = knowing(promoted("Y", "X", 78), follower("Z", "Y", 40));
    expect(mixed.presenceOf({ replid: "X", offset: 90 }, "Z")).toBe("lost");
    expect(mixed.presenceOf({ replid: "X", offset: 77 }, "Z")).toBe("unknown");
    expect(mixed.presenceOf({ replid: "X", offset: 39 }, "Z")).toBe("valid");
  });

  it("distinguishes two histories that branched from the same one", () => {
    const split = knowing(promoted("Y", "X", 78), promoted("Z", "X", 40));
    expect(split.presenceOf({ replid: "X", offset: 77 }, "Y")).toBe("valid");
    expect(split.presenceOf({ replid: "X", offset: 77 }, "Z")).toBe("lost");
    expect(split.presenceOf({ replid: "Y", offset: 20 }, "Z")).toBe("unknown");
  });
});

describe("Lineage.learn", () => {
  it("survives histories that claim to descend from each other", () => {
    const circle = knowing(promoted("X", "Y", 50), promoted("Y", "X", 60), promoted("X", "X", 70));
    expect(circle.presenceOf({ replid: "W", offset: 1 }, "X")).toBe("unknown");
    expect(circle.presenceOf({ replid: "Y", offset: 49 }, "X")).toBe("valid");
    expect(circle.presenceOf({ replid: "X", offset: 60 }, "Y")).toBe("lost");
  });

  it("remembers at least 1000 consecutive failovers, and answers through all of them", () => {
    const lineage = new Lineage();
    for (let i = 1; i <= 1000; i++) lineage.learn(promoted(`h${i}`, `h${i - 1}`, 100 * i));
    expect(lineage.presenceOf({ replid: "h0", offset: 99 }, "h1000")).toBe("valid");
    expect(lineage.presenceOf({ replid: "h0", offset: 100 }, "h1000")).toBe("lost");
  });

  it("forgets the oldest failover at the limit, so that its size is bounded", () => {
    const lineage = new Lineage();
    for (let i = 1; i <= 5000; i++) lineage.learn(promoted(`h${i}`, `h${i - 1}`, 100 * i));
    const known = Array.from({ length: 5000 }, (_, i) =>
      lineage.presenceOf({ replid: `h${i}`, offset: 1 }, `h${i + 1}`),
    ).filter((outcome) => outcome === "valid");
    expect(known).toHaveLength(1024);
    expect(lineage.presenceOf({ replid: "h4999", offset: 1 }, "h5000")).toBe("valid");
    expect(lineage.presenceOf({ replid: "h0", offset: 1 }, "h1")).toBe("unknown");
  });

  it("keeps every ancestor that nodes report for one history", () => {
    const lineage = knowing(promoted("Y", "W", 30), promoted("Y", "X", 78));
    expect(lineage.presenceOf({ replid: "W", offset: 29 }, "Y")).toBe("valid");
    expect(lineage.presenceOf({ replid: "X", offset: 77 }, "Y")).toBe("valid");
  });

  it("does not count an edge twice", () => {
    const lineage = knowing(promoted("Y", "X", 78));
    for (let i = 0; i < 5000; i++) lineage.learn(promoted("Z", "Y", 301 + i));
    expect(lineage.presenceOf({ replid: "X", offset: 77 }, "Y")).toBe("valid");
  });
});

/** Whether a node that reports one position includes another. */
import { describe, expect, it } from "vitest";
import { covers, Lineage } from "../../src/replication/lineage.js";
import { parseReplicationInfo, type ReplicationInfo } from "../../src/replication/replication-info.js";

const X = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb";
const Y = "c1d5f0aa17e24cf09b3cbb1fd4a1b1a4f5a9e6d2";
const Z = "0f6b7b8d4c1e52a39d0ac7e8b1f2a3c4d5e6f708";
const none = "0".repeat(40);

const write = { replid: X.slice(0, 16), offset: 77 };

/** A replica of `history` that applied `applied` and, in its own backlog, claims to be far ahead. */
function replica(
  history: string,
  applied: number,
  more: { link?: "up" | "down"; syncing?: 0 | 1; ancestor?: string; second?: number; backlog?: 0 | 1 } = {},
): ReplicationInfo {
  const { link = "up", syncing = 0, ancestor = none, second = -1, backlog = 1 } = more;
  return read([
    ...["role:slave", "master_host:10.0.0.1", "master_port:6379", `master_link_status:${link}`],
    ...["master_last_io_seconds_ago:0", `master_sync_in_progress:${syncing}`],
    ...["slave_read_repl_offset:999999", `slave_repl_offset:${applied}`, "slave_priority:100"],
    ...["slave_read_only:1", "replica_announced:1", "connected_slaves:0"],
    ...[`master_replid:${history}`, `master_replid2:${ancestor}`, "master_repl_offset:999999"],
    ...[`second_repl_offset:${second}`, `repl_backlog_active:${backlog}`, "repl_backlog_size:1048576"],
  ]);
}

function primary(
  history: string,
  offset: number,
  more: { ancestor?: string; second?: number; backlog?: 0 | 1 } = {},
): ReplicationInfo {
  const { ancestor = none, second = -1, backlog = 1 } = more;
  return read([
    ...["role:master", "connected_slaves:1", "slave0:ip=10.0.0.2,port=6379,state=online,offset=70,lag=1"],
    ...["master_failover_state:no-failover", `master_replid:${history}`, `master_replid2:${ancestor}`],
    ...[`master_repl_offset:${offset}`, `second_repl_offset:${second}`, `repl_backlog_active:${backlog}`],
  ]);
}

function read(lines: readonly string[]): ReplicationInfo {
  const replication = parseReplicationInfo(`# Replication\r\n${lines.join("\r\n")}\r\n`);
  if (replication === undefined) throw new Error("not an INFO text");
  return replication;
}

function knowing(...seen: readonly ReplicationInfo[]): Lineage {
  const lineage = new Lineage();
  for (const one of seen) lineage.learn(one);
  return lineage;
}

describe("covers, for a replica of the required history", () => {
  it("is true from the required offset on, and false before it", () => {
    expect(covers(replica(X, 76), write, knowing())).toBe(false);
    expect(covers(replica(X, 77), write, knowing())).toBe(true);
    expect(covers(replica(X, 78), write, knowing())).toBe(true);
  });

  it("counts only applied data, even when the replica received more and fed it to its own backlog", () => {
    expect(covers(replica(X, 50), write, knowing())).toBe(false);
  });

  it("is true while the link is down, because applied data stays applied", () => {
    expect(covers(replica(X, 77, { link: "down" }), write, knowing())).toBe(true);
  });

  it("is false for a replica that a failed transfer emptied", () => {
    const emptied = replica(X, 1, { link: "down", backlog: 0 });
    expect(covers(emptied, write, knowing())).toBe(false);
    expect(covers(emptied, { ...write, offset: 1 }, knowing())).toBe(false);
    expect(covers(emptied, { ...write, offset: 0 }, knowing())).toBe(false);
  });

  it("accepts offset 1 as a position only while the link is up", () => {
    expect(covers(replica(X, 1), { ...write, offset: 1 }, knowing())).toBe(true);
    expect(covers(replica(X, 2, { link: "down" }), { ...write, offset: 2 }, knowing())).toBe(true);
  });
});

describe("covers, for a node of another history", () => {
  it("is false for a replica at any offset when its history is unknown", () => {
    expect(covers(replica(Y, 26_689_267), write, knowing())).toBe(false);
  });

  it("is false for a primary whose history is unknown", () => {
    expect(covers(primary(Y, 26_689_267), write, knowing())).toBe(false);
  });

  it("is true for a replica of the promoted primary when the write came before the divergence", () => {
    const lineage = knowing(primary(Y, 120, { ancestor: X, second: 78 }));
    expect(covers(replica(Y, 120), write, lineage)).toBe(true);
    expect(covers(replica(Y, 76), write, lineage)).toBe(false);
  });

  it("is false for a write at or after the divergence, on the promoted primary and on its replicas", () => {
    const promoted = primary(Y, 26_689_267, { ancestor: X, second: 78 });
    for (const offset of [78, 79, 5000]) {
      expect(covers(promoted, { ...write, offset }, knowing(promoted))).toBe(false);
      expect(covers(replica(Y, 26_689_267), { ...write, offset }, knowing(promoted))).toBe(false);
    }
  });

  it("is false by a replica's own smaller divergence until the promoted primary reports the true one", () => {
    const follower = replica(Y, 120, { ancestor: X, second: 61 });
    const lineage = knowing(follower);
    expect(covers(follower, write, lineage)).toBe(false);
    lineage.learn(primary(Y, 120, { ancestor: X, second: 78 }));
    expect(covers(follower, write, lineage)).toBe(true);
  });

  it("is false for a promoted primary that had been emptied, although it reports the required history as its ancestor", () => {
    const hollow = primary(Y, 77, { ancestor: X, second: 78, backlog: 0 });
    expect(covers(hollow, write, knowing(hollow))).toBe(false);
    expect(covers(replica(Y, 200), write, knowing(hollow))).toBe(false);
  });

  it("holds through a chain of failovers when each node knows only the last one", () => {
    const lineage = knowing(
      primary(Y, 300, { ancestor: X, second: 78 }),
      primary(Z, 900, { ancestor: Y, second: 301 }),
    );
    expect(covers(replica(Z, 900), write, lineage)).toBe(true);
    expect(covers(primary(Z, 900), write, lineage)).toBe(true);
    expect(covers(replica(Z, 900), { replid: Y.slice(0, 16), offset: 300 }, lineage)).toBe(true);
    expect(covers(replica(Z, 900), { replid: Y.slice(0, 16), offset: 301 }, lineage)).toBe(false);
    expect(covers(replica(Z, 900), { ...write, offset: 78 }, lineage)).toBe(false);
  });

  it("is false for a former primary of the old history when the new one is required", () => {
    const lineage = knowing(primary(Y, 120, { ancestor: X, second: 78 }));
    const former = replica(X, 500, { link: "down" });
    expect(covers(former, { replid: Y.slice(0, 16), offset: 100 }, lineage)).toBe(false);
  });
});

describe("covers, for the primary", () => {
  it("is true in the primary's own history, even for a write made after its position was read", () => {
    expect(covers(primary(X, 77), write, knowing())).toBe(true);
    expect(covers(primary(X, 77, { backlog: 0 }), write, knowing())).toBe(true);
    expect(covers(primary(X, 60), write, knowing())).toBe(true);
  });

  it("is true after a promotion for a write before the divergence", () => {
    const promoted = primary(Y, 120, { ancestor: X, second: 78 });
    expect(covers(promoted, write, knowing(promoted))).toBe(true);
  });
});

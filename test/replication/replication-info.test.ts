/** The positions read from the text of `INFO replication`, and the texts that yield none. */
import { describe, expect, it } from "vitest";
import {
  faultOf,
  parseAcknowledgedOffsets,
  parseReplicas,
  parseReplicationInfo,
} from "../../src/replication/replication-info.js";

const X = "8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb";
const Y = "c1d5f0aa17e24cf09b3cbb1fd4a1b1a4f5a9e6d2";
const none = "0".repeat(40);
const x = X.slice(0, 16);
const y = Y.slice(0, 16);

const primary = text(`
  role:master
  connected_slaves:2
  slave0:ip=10.0.0.2,port=6379,state=online,offset=1077,lag=0
  slave1:ip=10.0.0.3,port=6379,state=online,offset=1077,lag=1
  master_failover_state:no-failover
  master_replid:${X}
  master_replid2:${none}
  master_repl_offset:1099
  second_repl_offset:-1
  repl_backlog_active:1
  repl_backlog_size:1048576
  repl_backlog_first_byte_offset:1
  repl_backlog_histlen:1099`);

const replica = text(`
  role:slave
  master_host:10.0.0.1
  master_port:6379
  master_link_status:up
  master_last_io_seconds_ago:0
  master_sync_in_progress:0
  slave_read_repl_offset:1199
  slave_repl_offset:1077
  slave_priority:100
  slave_read_only:1
  replica_announced:1
  connected_slaves:0
  master_failover_state:no-failover
  master_replid:${X}
  master_replid2:${none}
  master_repl_offset:1299
  second_repl_offset:-1
  repl_backlog_active:1
  repl_backlog_size:1048576
  repl_backlog_first_byte_offset:15
  repl_backlog_histlen:1063`);

/** A transfer failed after the replica had emptied itself: history and backlog offset are still the old ones. */
const emptied = change(replica, {
  master_link_status: "down",
  slave_read_repl_offset: "1",
  slave_repl_offset: "1",
  repl_backlog_active: "0",
});

const promoted = change(primary, {
  master_replid: Y,
  master_replid2: X,
  second_repl_offset: "1078",
  connected_slaves: "1",
});

/** Dragonfly's own wording and fields. */
const dragonfly = text(`
  role:replica
  master_host:10.0.0.1
  master_port:6379
  master_link_status:up
  master_last_io_seconds_ago:0
  master_sync_in_progress:0`);

/** Lines as Redis ends them, under the section's heading. */
function text(lines: string): string {
  return `# Replication\r\n${lines.trim().replaceAll(/\n\s*/g, "\r\n")}\r\n`;
}

function change(info: string, fields: Readonly<Record<string, string | undefined>>): string {
  let changed = info;
  for (const [name, value] of Object.entries(fields)) {
    changed = changed.replace(
      new RegExp(`^${name}:.*\r\n`, "m"),
      value === undefined ? "" : `${name}:${value}\r\n`,
    );
  }
  return changed;
}

describe("parseReplicationInfo of a primary", () => {
  it("takes the written offset and the first 16 digits of the replication id", () => {
    expect(parseReplicationInfo(primary)).toEqual({
      role: "primary",
      replid: x,
      offset: 1099,
      ancestor: undefined,
      backlogActive: true,
    });
  });

  it("takes the ancestor and the first offset that the two histories do not share", () => {
    expect(parseReplicationInfo(promoted)).toMatchObject({
      role: "primary",
      replid: y,
      ancestor: { replid: x, divergesAt: 1078 },
      backlogActive: true,
    });
  });

  it("reports an inactive backlog when an emptied replica was promoted", () => {
    const info = change(promoted, { repl_backlog_active: "0", connected_slaves: "0" });
    expect(parseReplicationInfo(info)).toMatchObject({ role: "primary", replid: y, backlogActive: false });
  });

  it("reports an inactive backlog when the field is missing", () => {
    const info = change(primary, { repl_backlog_active: undefined });
    expect(parseReplicationInfo(info)).toMatchObject({ role: "primary", backlogActive: false });
  });

  it("has a position before any replica has ever attached", () => {
    const info = change(primary, {
      connected_slaves: "0",
      slave0: undefined,
      slave1: undefined,
      master_repl_offset: "0",
      repl_backlog_active: "0",
    });
    expect(parseReplicationInfo(info)).toMatchObject({ role: "primary", offset: 0, backlogActive: false });
  });
});

describe("parseReplicationInfo of a replica", () => {
  it("takes the applied offset, not the received bytes or the bytes of the replica's own backlog", () => {
    expect(parseReplicationInfo(replica)).toEqual({
      role: "replica",
      replid: x,
      offset: 1077,
      linkUp: true,
      syncing: false,
      ancestor: undefined,
      backlogActive: true,
    });
  });

  it("reports that a synchronisation is in progress", () => {
    const info = change(replica, { master_link_status: "down", master_sync_in_progress: "1" });
    expect(parseReplicationInfo(info)).toMatchObject({ linkUp: false, syncing: true });
  });

  it("assumes a synchronisation when the field is missing", () => {
    const info = change(replica, { master_sync_in_progress: undefined });
    expect(parseReplicationInfo(info)).toMatchObject({ syncing: true });
  });

  it("assumes that the link is down when the field is missing", () => {
    const info = change(replica, { master_link_status: undefined });
    expect(parseReplicationInfo(info)).toMatchObject({ linkUp: false });
  });

  it("keeps the old history and reports offset 1 after a failed transfer emptied the replica", () => {
    expect(parseReplicationInfo(emptied)).toMatchObject({ replid: x, offset: 1, linkUp: false });
  });

  it("takes the replica's own, smaller divergence after the replica followed a promotion", () => {
    const info = change(replica, { master_replid: Y, master_replid2: X, second_repl_offset: "1031" });
    expect(parseReplicationInfo(info)).toMatchObject({
      replid: y,
      ancestor: { replid: x, divergesAt: 1031 },
    });
  });
});

describe("parseReplicationInfo", () => {
  it("reads a RESP3 verbatim text with or without its prefix, and a text without a final line end", () => {
    expect(parseReplicationInfo(`txt:${primary}`)).toEqual(parseReplicationInfo(primary));
    expect(parseReplicationInfo(primary.slice(0, primary.indexOf("\r\nsecond")))).toMatchObject({
      offset: 1099,
    });
  });

  it("finds the section inside the whole of INFO", () => {
    const whole = `# Server\r\nredis_version:7.0.15\r\n\r\n${replica}\r\n# CPU\r\nused_cpu_sys:0.1\r\n`;
    expect(parseReplicationInfo(whole)).toEqual(parseReplicationInfo(replica));
  });

  it("does not confuse a field with another whose name ends in the same way", () => {
    const info = change(replica, { slave_repl_offset: undefined });
    expect(info).toContain("slave_read_repl_offset:");
    expect(parseReplicationInfo(info)).toBeUndefined();
  });

  it("returns undefined for a server that reports no replication id", () => {
    expect(parseReplicationInfo(dragonfly)).toBeUndefined();
  });

  it("returns undefined for an unknown role", () => {
    expect(parseReplicationInfo(change(primary, { role: "sentinel" }))).toBeUndefined();
    expect(parseReplicationInfo(change(replica, { role: "replica" }))).toBeUndefined();
  });

  it.each([
    ["role", primary],
    ["master_replid", primary],
    ["master_repl_offset", primary],
    ["role", replica],
    ["master_replid", replica],
    ["slave_repl_offset", replica],
  ])("returns undefined when %s is missing", (name, info) => {
    const without = change(info, { [name]: undefined });
    expect(without).not.toBe(info);
    expect(parseReplicationInfo(without)).toBeUndefined();
  });

  it.each([
    ["39 digits", X.slice(1)],
    ["41 digits", `${X}0`],
    ["a letter after f", `g${X.slice(1)}`],
    ["capitals", X.toUpperCase()],
    ["only zeros", none],
    ["the id that marks a pin in a token", `${"0".repeat(16)}${X.slice(16)}`],
    ["the id that marks a moment in a token", `${"0".repeat(15)}1${X.slice(16)}`],
    ["nothing", ""],
  ])("returns undefined for a replication id of %s", (_, id) => {
    expect(parseReplicationInfo(change(primary, { master_replid: id }))).toBeUndefined();
    expect(parseReplicationInfo(change(replica, { master_replid: id }))).toBeUndefined();
  });

  it.each(["9007199254740992", "9223372036854775807", "-1", "1.5", "1e3", "0x10", " 7", "7 ", "", "NaN"])(
    "returns undefined for the offset %j",
    (offset) => {
      expect(parseReplicationInfo(change(primary, { master_repl_offset: offset }))).toBeUndefined();
      expect(parseReplicationInfo(change(replica, { slave_repl_offset: offset }))).toBeUndefined();
    },
  );

  it("takes offsets up to 2^53 - 1 exactly", () => {
    const info = change(primary, { master_repl_offset: "9007199254740991" });
    expect(parseReplicationInfo(info)).toMatchObject({ offset: 9007199254740991 });
  });

  it("reports no ancestor when the divergence is not a whole number below 2^53", () => {
    for (const second of ["9007199254740992", "-1", "x"]) {
      const info = change(promoted, { second_repl_offset: second });
      expect(parseReplicationInfo(info)).toMatchObject({ replid: y, ancestor: undefined });
    }
  });

  it("reports no ancestor when its replication id is invalid", () => {
    const info = change(promoted, { master_replid2: X.slice(1) });
    expect(parseReplicationInfo(info)).toMatchObject({ replid: y, ancestor: undefined });
  });

  it("returns undefined for input that is not a text with lines", () => {
    for (const reply of [undefined, null, 7, {}, [primary], Buffer.from(primary), "", "OK", "role:master"]) {
      expect(parseReplicationInfo(reply)).toBeUndefined();
    }
  });
});

describe("an INFO text that may be forged", () => {
  const counted = [
    ...["role", "connected_slaves", "master_replid", "master_replid2", "master_repl_offset"],
    ...["second_repl_offset", "repl_backlog_active", "slave_repl_offset", "master_link_status"],
    "master_sync_in_progress",
  ];
  const doubled = counted.flatMap((name) =>
    [primary, replica].flatMap((info) => {
      const line = info.split("\r\n").find((one) => one.startsWith(`${name}:`));
      return line === undefined ? [] : [[name, info, line] as const];
    }),
  );

  it.each(doubled)("yields no position when %s occurs twice, at any place", (_name, info, line) => {
    for (const text of [`${info}${line}\r\n`, info.replace("\r\n", `\r\n${line}\r\n`)]) {
      const forged = ofOwnLength(text);
      expect(parseReplicationInfo(forged)).toBeUndefined();
      expect(faultOf(forged)).toContain("has a field twice");
    }
  });

  it.each(["10.0.0.2\r\nx:y", "10.0.0.2\nx:y", "10.0.0.2 x", "a,b", "x".repeat(256), "10.0.0.2\u0000"])(
    "yields no position when a replica announces %j",
    (host) => {
      const forged = ofOwnLength(primary.replace("ip=10.0.0.2", `ip=${host}`));
      expect(parseReplicationInfo(forged)).toBeUndefined();
      expect(faultOf(forged)).toContain("a line break in a value");
      expect(parseReplicas(forged)).toEqual([{ host: "10.0.0.3", port: 6379 }]);
    },
  );

  it("is never read with foreign fields before the server's own, even when its lengths are those of a sound text", () => {
    const sound = primary.replace("10.0.0.2", "a".repeat(120));
    expect(parseReplicationInfo(sound)).toMatchObject({ offset: 1099 });
    const forgery = `1.1.1.1\r\nmaster_repl_offset:7\r\nsecond_repl_offset:9\r\nx:`;
    const forged = primary.replace("10.0.0.2", forgery.padEnd(120, "x"));
    expect(forged).toHaveLength(sound.length);
    expect(parseReplicationInfo(forged)?.offset).not.toBe(7);
  });

  it.each(["lag", "offset", "state"])(
    "is not reported as forged when the line of a replica lacks %s",
    (field) => {
      const lacking = ofOwnLength(primary.replace(RegExp(`,${field}=[^,\\r]*`), ""));
      expect(parseReplicationInfo(lacking)).toBeUndefined();
      expect(faultOf(lacking)).toMatch(/has a line of a replica that Tidemark cannot read/);
      expect(faultOf(lacking)).not.toMatch(/forge|written/);
    },
  );

  it("is searched for forgery even when its lengths add up to those of a sound text", () => {
    const lengthBefore = (text: string): number => text.indexOf("\nmaster_replid:");
    const forged = primary.replace("\r\n", "\r\nrole:master\r\n");
    const more = lengthBefore(forged) - lengthBefore(primary) + 1;
    const sound = primary.replace("10.0.0.2", `10.0.0.2${"a".repeat(more)}`);
    expect(parseReplicationInfo(sound)).toBeDefined();
    // One character less in front of master_replid, and 4,096 more behind it.
    expect(parseReplicationInfo(`${forged}x:${"y".repeat(4_092)}\r\n`)).toBeUndefined();
  });

  it("is not read beyond 65,536 characters", () => {
    const long = `${primary}${"x".repeat(65_536)}`;
    expect(parseReplicationInfo(long)).toBeUndefined();
    expect(faultOf(long)).toContain("longer than 65536 characters");
    expect([parseReplicas(long), parseAcknowledgedOffsets(long)]).toEqual([[], []]);
  });

  it.each(["\nslave0:ip=", "\nslave0:ip=1,port=1,state=", "\nslave", "\nrole:", "slave0:ip=1,port=1,"])(
    "takes time in proportion to its length when it repeats %j",
    (part) => {
      const eighth = timeOf(part.repeat(8_000 / part.length));
      expect(timeOf(part.repeat(64_000 / part.length)) / Math.max(eighth, 0.02)).toBeLessThan(24);
    },
  );
});

let lengthened = 100;

/** The same text behind a heading that gives it a length which no text had before. */
function ofOwnLength(info: string): string {
  lengthened += 50;
  return `# ${"x".repeat(lengthened)}\r\n${info}`;
}

/** The least time that it takes to read `info`, in milliseconds. */
function timeOf(info: string): number {
  const times = Array.from({ length: 30 }, () => {
    const since = performance.now();
    parseReplicationInfo(info);
    faultOf(info);
    parseReplicas(info);
    parseAcknowledgedOffsets(info);
    return performance.now() - since;
  });
  return Math.min(...times);
}

describe("The replicas that an INFO lists", () => {
  it("are those with a host and a port, with their acknowledged offsets if they are in sync", () => {
    const info = primary
      .replace("port=6379,state=online", "port=0,state=wait_bgsave")
      .replace(
        "connected_slaves",
        "slave2:ip=::1,port=7000,state=online,offset=5,lag=0,type=replica\r\nconnected_slaves",
      );
    expect(parseReplicas(info)).toEqual([
      { host: "::1", port: 7000 },
      { host: "10.0.0.3", port: 6379 },
    ]);
    expect(parseAcknowledgedOffsets(info)).toEqual([5, 1077]);
  });
});

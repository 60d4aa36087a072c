/** The table of `tidemark top`: its columns, their widths and the order of the rows. */
import { describe, expect, it } from "vitest";
import { bytesText, countText, durationText, secondsText } from "../../../src/cli/top/quantities.js";
import type { ServerRow } from "../../../src/cli/top/snapshot.js";
import { sparkline } from "../../../src/cli/top/sparkline.js";
import { type SortOrder, shortened, tableOf } from "../../../src/cli/top/table.js";
import { primaryRow, rowWith, terminalWith } from "../../support/cli/made-up-rows.js";

const maxStalenessMs = 10_000;
const byRole: SortOrder = { column: "role", isReversed: false };
const longAddress = "redis-replica-0.redis.production.svc.cluster.local:6379";
const rows = [
  rowWith({
    address: "10.0.0.3:6379",
    lagBytes: 10_240_000,
    lagMs: 12_345,
    hasCaughtUp: false,
    state: "behind",
  }),
  primaryRow,
  rowWith({ address: longAddress, lagMs: 3, state: "unknown-history", link: { isUp: false, seconds: 70 } }),
];

function linesAt(width: number, servers: readonly ServerRow[] = rows, sort = byRole): string[] {
  const terminal = terminalWith(width);
  const { heading, lines } = tableOf([{ title: undefined, servers }], { terminal, sort, maxStalenessMs });
  return [heading, ...lines];
}

function headingsAt(width: number, servers?: readonly ServerRow[]): string[] {
  return (linesAt(width, servers)[0] ?? "").replace("▲", "").split(/ {2,}/);
}

/** The addresses from top to bottom. */
function order(servers: readonly ServerRow[], sort: SortOrder): string[] {
  return linesAt(120, servers, sort)
    .slice(1)
    .map((line) => line.split(/ +/)[1] ?? "");
}

describe("The table", () => {
  it("fits any width", () => {
    for (let width = 20; width <= 200; width++)
      expect(linesAt(width).filter((line) => line.length > width)).toEqual([]);
  });

  it("shows all columns at 120", () => {
    expect(linesAt(120)).toEqual([
      "ROLE▲    ADDRESS                   STATE             BEHIND      LAG  LAST 60 S    OPS/S  LINK          CLIENTS   MEMORY",
      "primary  10.0.0.1:6379             serving                -        -                1.2k  -                  12   1.2 MB",
      "replica  10.0.0.3:6379             behind            9.8 MB    >12 s                1.2k  1 s ago            12   1.2 MB",
      "replica  redis-repli…r.local:6379  unknown-history      0 B     3 ms                1.2k  down 1 min         12   1.2 MB",
    ]);
  });

  it("drops columns in a fixed order as it gets narrower", () => {
    const usual = [primaryRow, rowWith({})];
    const always = ["ROLE", "ADDRESS", "STATE"];
    expect(headingsAt(120, usual).slice(-6)).toEqual([
      "LAG",
      "LAST 60 S",
      "OPS/S",
      "LINK",
      "CLIENTS",
      "MEMORY",
    ]);
    expect(headingsAt(80, usual)).toEqual([...always, "BEHIND", "LAG", "LAST 60 S", "OPS/S"]);
    expect(headingsAt(60, usual)).toEqual([...always, "BEHIND", "LAG", "OPS/S"]);
    expect(headingsAt(40, usual)).toEqual([...always, "LAG"]);
    let before: string[] = [];
    for (let width = 40; width <= 200; width++) {
      const now = headingsAt(width);
      expect(before.filter((heading) => !now.includes(heading))).toEqual([]);
      before = now;
    }
  });

  it("keeps the port and the beginning of an address that it shortens", () => {
    expect(shortened("10.0.0.1:6379", 13, true)).toBe("10.0.0.1:6379");
    expect(shortened(longAddress, 15, true)).toBe("redis-r…al:6379");
    expect(shortened(longAddress, 15, false)).toBe("redis-..al:6379");
    expect(linesAt(40).at(-1)).toMatch(/^replica {2}redis…\S*6379 {2}unkn\S+ +3 ms$/);
  });

  it("shows whole addresses if there is room", () => {
    expect(linesAt(160).join("\n")).toContain(longAddress);
  });

  it("gives the rest of a wide terminal to the sparkline", () => {
    const history = Array.from({ length: 60 }, (_, i) => ({ ageMs: i * 1_000, lagMs: 0 }));
    const [, line = ""] = linesAt(300, [rowWith({ history })]);
    expect(/▁+/.exec(line)?.[0]).toHaveLength(60);
  });

  it("names the groups of a cluster", () => {
    const groups = ["shard A", "shard B"].map((title) => ({ title, servers: [primaryRow] }));
    const { lines } = tableOf(groups, { terminal: terminalWith(80), sort: byRole, maxStalenessMs });
    expect(lines.map((line) => line.split("  ")[0])).toEqual(["shard A", "primary", "shard B", "primary"]);
  });

  it("uses colours only if the terminal has them", () => {
    const options = { sort: byRole, maxStalenessMs };
    const groups = [{ title: "shard A", servers: rows }];
    const colored = tableOf(groups, { ...options, terminal: terminalWith(120, true) });
    const plain = tableOf(groups, { ...options, terminal: terminalWith(120) });
    const escapes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g");
    expect(colored.lines.join("\n")).toMatch(escapes);
    expect(colored.lines.map((line) => line.replaceAll(escapes, "").trimEnd())).toEqual(plain.lines);
  });
});

describe("The rows", () => {
  const [first, second, third] = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"] as const;
  const unsorted = [
    rowWith({ address: third, lagBytes: 5, lagMs: 900 }),
    rowWith({ address: first, lagBytes: undefined, lagMs: undefined, role: "primary" }),
    rowWith({ address: second, lagBytes: 70, lagMs: 20 }),
  ];

  it("are sorted by the chosen column, with unknown values last in both directions", () => {
    expect(order(unsorted, byRole)).toEqual([first, second, third]);
    expect(order(unsorted, { column: "behind", isReversed: false })).toEqual([third, second, first]);
    expect(order(unsorted, { column: "behind", isReversed: true })).toEqual([second, third, first]);
    expect(order(unsorted, { column: "lag", isReversed: true })).toEqual([third, second, first]);
  });

  it("are sorted by the numbers in addresses", () => {
    const servers = ["10.0.0.10:1", "10.0.0.9:1"].map((address) => rowWith({ address }));
    expect(order(servers, { column: "address", isReversed: false })).toEqual(["10.0.0.9:1", "10.0.0.10:1"]);
  });

  it("with a dead link come after all others by link", () => {
    const servers = [
      rowWith({ address: first, link: { isUp: false, seconds: 1 } }),
      rowWith({ address: second, link: { isUp: true, seconds: 8 } }),
      rowWith({ address: third, link: { isUp: false, seconds: 9 } }),
    ];
    expect(order(servers, { column: "link", isReversed: false })).toEqual([second, first, third]);
  });
});

describe("A sparkline", () => {
  const options = { width: 6, maxStalenessMs, hasUnicode: true };

  it("shows the longest lag of each part of the last minute, the newest on the right", () => {
    const samples = [
      { ageMs: 59_000, lagMs: 20_000 },
      { ageMs: 25_000, lagMs: undefined },
      { ageMs: 12_000, lagMs: 500 },
      { ageMs: 11_000, lagMs: 1 },
      { ageMs: 0, lagMs: 0 },
    ];
    expect(sparkline(samples, options)).toBe("█  ·▆▁");
    expect(sparkline(samples, { ...options, hasUnicode: false })).toBe("#  ?*_");
  });

  it("is blank for the time before the first sample", () => {
    expect(sparkline([], options)).toBe("      ");
    expect(sparkline([{ ageMs: 60_000, lagMs: 5 }], options)).toBe("      ");
  });

  it("rises with the lag, and is full from maxStalenessMs on", () => {
    const bars = [0, 1, 10, 100, 1_000, 9_999, 10_000, 1e9].map((lagMs) =>
      sparkline([{ ageMs: 0, lagMs }], { ...options, width: 1 }),
    );
    expect(bars).toEqual(bars.toSorted());
    expect(bars).toEqual(["▁", "▂", "▃", "▅", "▆", "▇", "█", "█"]);
  });
});

describe("Quantities", () => {
  it("are short", () => {
    expect([0, 999, 1_023, 1_024, 1_048_000, 1_048_575, 5e9].map(bytesText)).toEqual([
      ...["0 B", "999 B", "1023 B", "1.0 KB", "1023 KB", "1.0 MB", "4.7 GB"],
    ]);
    expect([0, 950, 999.6, 1_000, 12_345, 999_500, 5e6].map(countText)).toEqual([
      ...["0", "950", "1.0k", "1.0k", "12k", "1.0M", "5.0M"],
    ]);
    expect([0, 0.4, 999.4, 999.6, 1_234, 12_345, 59_900, 60_000, 7_200_000].map(durationText)).toEqual([
      ...["0 ms", "0 ms", "999 ms", "1.0 s", "1.2 s", "12 s", "59 s", "1 min", "2 h"],
    ]);
    expect([0, 59.9, 60, 3_599, 3_600, 86_400].map(secondsText)).toEqual([
      ...["0 s", "59 s", "1 min", "59 min", "1 h", "1 d"],
    ]);
  });
});

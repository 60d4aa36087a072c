/** The page of `tidemark top`: how the table, the warnings and the help share the screen, and what the keys do. */
import { describe, expect, it } from "vitest";
import { plainPage, screenPage } from "../../../src/cli/top/page.js";
import { afterKey, firstView, helpLines, type Key, type View } from "../../../src/cli/top/view.js";
import { primaryRow, rowWith, snapshotOf, terminalWith } from "../../support/cli/made-up-rows.js";

const replicas = Array.from({ length: 20 }, (_, i) => rowWith({ address: `10.0.1.${i}:6379` }));
const warning = "10.0.1.7:6379 is silent: connect ECONNREFUSED 10.0.1.7:6379";

function screen(
  servers = [primaryRow, ...replicas],
  { view = {}, width = 80, height = 24, warnings = [warning] }: Partial<ScreenCase> = {},
): string[] {
  return screenPage(snapshotOf(servers, warnings), {
    terminal: terminalWith(width),
    view: { ...firstView, ...view },
    height,
    intervalMs: 1_000,
    maxStalenessMs: 10_000,
  });
}

interface ScreenCase {
  readonly view: Partial<View>;
  readonly width: number;
  readonly height: number;
  readonly warnings: readonly string[];
}

describe("The screen", () => {
  it("has the table, the warnings and the keys", () => {
    const lines = screen([primaryRow, rowWith({})], { height: 9 });
    expect(lines).toEqual([
      "tidemark top  12:30:05  2 servers  every 1 s  by role",
      expect.stringMatching(/^ROLE▲ +ADDRESS/),
      expect.stringMatching(/^primary +10\.0\.0\.1:6379 +serving/),
      expect.stringMatching(/^replica +10\.0\.0\.2:6379 +serving/),
      "",
      `! ${warning}`,
      "",
      "",
      "q quit  s sort  r reverse  space pause  ? help",
    ]);
  });

  it("fits any size", () => {
    const warnings = Array.from({ length: 9 }, () => warning);
    for (const showsHelp of [false, true])
      for (let height = 1; height <= 40; height++)
        for (const width of [20, 40, 60, 80, 120]) {
          const lines = screen(undefined, { height, width, warnings, view: { showsHelp } });
          expect(lines).toHaveLength(height);
          expect(lines.filter((line) => line.length > width)).toEqual([]);
        }
  });

  it("scrolls to servers that do not fit, and says how many there are", () => {
    const first = screen();
    expect(first.join("\n")).toContain("3 more below");
    expect(first.join("\n")).not.toContain("10.0.1.19:6379");
    const last = screen(undefined, { view: { scrolled: 99 } });
    expect(last.join("\n")).toContain("10.0.1.19:6379");
    expect(last.join("\n")).toContain("3 more above");
    expect(last).toContain(`! ${warning}`);
  });

  it("leaves two thirds to the table if there are many warnings", () => {
    const lines = screen(undefined, { warnings: Array.from({ length: 30 }, () => warning) });
    expect(lines.filter((line) => line.startsWith("!"))).toHaveLength(7);
    expect(lines).toContain("  23 more lines of warnings");
    expect(lines.filter((line) => line.startsWith("replica")).length).toBeGreaterThan(8);
  });

  it("shows the help instead of the table", () => {
    const text = screen(undefined, { view: { showsHelp: true } }).join("\n");
    for (const line of helpLines) expect(text).toContain(line.trim());
    expect(text).not.toContain("10.0.1.1:6379");
  });

  it("says that it is looking for servers until there is a snapshot", () => {
    const options = { view: firstView, height: 5, intervalMs: 1_000, maxStalenessMs: 10_000 };
    expect(screenPage(undefined, { ...options, terminal: terminalWith(40) })).toContain(
      "Looking for servers ...",
    );
  });

  it("says that it is paused, and what it is sorted by", () => {
    const [title] = screen([primaryRow], {
      view: { isPaused: true, sort: { column: "ops", isReversed: true } },
    });
    expect(title).toBe("tidemark top  PAUSED  1 server  every 1 s  by ops/s, reversed");
  });
});

describe("The plain page", () => {
  it("has every server and every warning", () => {
    const warnings = Array.from({ length: 30 }, () => warning);
    const options = { terminal: terminalWith(80), maxStalenessMs: 10_000 };
    const lines = plainPage(snapshotOf([primaryRow, ...replicas], warnings), options);
    expect(lines).toHaveLength(1 + 21 + 1 + 30);
  });
});

describe("The keys", () => {
  const letter = (sequence: string): Key => ({
    sequence,
    name: sequence.toLowerCase(),
    shift: /[A-Z]/.test(sequence),
  });
  const press = (...keys: readonly Key[]): View | "quit" =>
    keys.reduce<View | "quit">((view, key) => (view === "quit" ? view : afterKey(view, key)), firstView);
  const column = (...keys: readonly Key[]): string => {
    const view = press(...keys);
    return view === "quit" ? view : view.sort.column;
  };

  it("quit with q, Ctrl-C and Ctrl-D", () => {
    expect(press(letter("q"))).toBe("quit");
    expect(press({ name: "c", ctrl: true })).toBe("quit");
    expect(press({ name: "d", ctrl: true })).toBe("quit");
    expect(press(letter("c"))).toEqual(firstView);
  });

  it("pick the column to sort by, around the end", () => {
    expect(column(letter("s"))).toBe("address");
    expect(column({ name: "right" }, { name: "right" })).toBe("state");
    expect(column({ name: "left" })).toBe("memory");
    expect(column(letter("S"), letter("s"))).toBe("role");
    expect(column(...Array.from({ length: 10 }, () => letter("s")))).toBe("role");
  });

  it("reverse, pause, scroll and help, each back with the same key or its opposite", () => {
    expect(press(letter("r"))).toMatchObject({ sort: { column: "role", isReversed: true } });
    expect(press({ name: "space" })).toMatchObject({ isPaused: true });
    expect(press({ sequence: "?" })).toMatchObject({ showsHelp: true });
    expect(press({ name: "down" })).toMatchObject({ scrolled: 1 });
    const twice = [letter("r"), { name: "space" }, { sequence: "?" }].flatMap((key) => [key, key]);
    expect(press(...twice, { name: "down" }, { name: "up" }, { name: "up" })).toEqual(firstView);
    expect(press({ sequence: "?" }, { name: "escape" })).toEqual(firstView);
  });
});

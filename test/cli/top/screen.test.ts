/** `tidemark top` in a pseudo terminal, on a real group of servers whose replicas lag. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tidemark } from "../../support/cli/program.js";
import { ProgramScreen } from "../../support/cli/program-screen.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";
import { waitUntil } from "../../support/wait-until.js";

const esc = String.fromCharCode(27);
const entering = `${esc}[?1049h${esc}[?25l${esc}[?7l`;
const leaving = `${esc}[?7h${esc}[?25h${esc}[?1049l`;
const quick = ["--interval", "0.1"];

/** How often `part` occurs in `text`. */
function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

function addressOf({ port }: { readonly port: number }): string {
  return `127.0.0.1:${port}`;
}

const units = new Map([
  ["B", 1],
  ["KB", 1_024],
  ["MB", 1_048_576],
]);

/** The number of bytes in the column BEHIND of a row. */
function bytesBehind(row: string): number {
  const [, number, unit = ""] = / (\d+(?:\.\d+)?) ([KM]?B) /.exec(row) ?? [];
  return Number(number) * (units.get(unit) ?? Number.NaN);
}

describe("tidemark top in a terminal", () => {
  let group: ReplicationGroup;
  let url: string;
  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 2 });
    url = group.primary.url;
  });
  afterAll(() => group.stop());

  const started = async (args: readonly string[] = [], options = {}): Promise<ProgramScreen> => {
    const screen = await ProgramScreen.start(["top", ...quick, ...args, url], options);
    await screen.shows((one) => count(one.text, "replica ") === 2 && one.text.includes("primary "));
    return screen;
  };
  const write = async (bytes: number): Promise<void> => {
    await group.primary.admin().set("key", "x".repeat(bytes));
  };

  it("shows a replica that falls behind, and that it has caught up", async () => {
    const [replica] = group.replicas;
    if (replica === undefined) throw new Error("there is no replica");
    await using screen = await started();
    const row = (): string => screen.row(addressOf(replica.server));
    await screen.shows(() => /serving +0 B +\d+ ms/.test(row()));
    replica.link.hold();
    await write(20_000);
    await screen.shows(() => bytesBehind(row()) > 15_000);
    const before = bytesBehind(row());
    await write(200_000);
    await screen.shows(() => bytesBehind(row()) > before + 150_000 && / >[1-9]/.test(row()));
    await replica.link.release();
    await screen.shows(() => /serving +0 B +0 ms/.test(row()));
  });

  it("draws again at once when a key is pressed", async () => {
    await using screen = await started(["--interval", "60"]);
    await screen.shows("ROLE▲");
    screen.press("s");
    await screen.shows("ADDRESS▲");
    screen.press(`${esc}[C`);
    await screen.shows("STATE▲");
    screen.press(`${esc}[D${esc}[D`);
    await screen.shows("ROLE▲");
    screen.press("r");
    await screen.shows("ROLE▼");
    await screen.shows(({ lines }) => lines[2]?.startsWith("replica") === true);
    screen.press("?");
    await screen.shows("sort by the next column");
    screen.press("?");
    await screen.shows("ROLE▼");
  });

  it("asks no server while it is paused", async () => {
    await using screen = await started();
    screen.press(" ");
    await screen.shows("PAUSED");
    let own = 0;
    const calls = async (): Promise<number> => {
      own += 1;
      return (await group.primary.commandCalls("info")) - own;
    };
    let [before, unchanged] = [await calls(), 0];
    await waitUntil(
      async () => {
        const now = await calls();
        unchanged = now === before ? unchanged + 1 : 0;
        before = now;
        // A few intervals, because a wait takes 5 ms.
        return unchanged > 80;
      },
      { what: "no server is asked" },
    );
    screen.press(" ");
    await screen.shows(/\d\d:\d\d:\d\d/);
    await waitUntil(async () => (await calls()) > before + 5, { what: "the servers are asked again" });
  });

  it("fits the window when it is resized", async () => {
    await using screen = await started(["--interval", "60"]);
    await screen.resize({ columns: 120, rows: 30 });
    await screen.shows(/OPS\/S +LINK +CLIENTS +MEMORY/);
    await screen.shows(({ lines }) => lines[29]?.startsWith("q quit") === true);
    await screen.resize({ columns: 60, rows: 12 });
    await screen.shows(
      ({ text, lines }) => !text.includes("LINK") && lines[11]?.startsWith("q quit") === true,
    );
    await screen.resize({ columns: 40, rows: 8 });
    await screen.shows(/^ROLE▲ +ADDRESS +STATE +LAG$/m);
    expect(screen.lines.filter((line) => line.length > 40)).toEqual([]);
  });

  it.each([
    ["q", "q"],
    ["Ctrl-C", "\u0003"],
  ])("gives the terminal back and exits with 0 after %s", async (_, key) => {
    await using screen = await started();
    expect(screen.isAlternate).toBe(true);
    expect(await screen.settings()).toContain("-icanon");
    screen.press(key);
    expect(await screen.code).toBe(0);
    expect(screen.isAlternate).toBe(false);
    expect([count(screen.written, entering), count(screen.written, leaving)]).toEqual([1, 1]);
    expect(screen.written.endsWith(leaving)).toBe(true);
  });

  it.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
    ["SIGINT", 130],
  ] as const)("gives the terminal back after %s, and ends by that signal", async (signal, code) => {
    await using screen = await started();
    screen.signal(signal);
    expect(await screen.code).toBe(code);
    expect([count(screen.written, entering), count(screen.written, leaving)]).toEqual([1, 1]);
    expect(screen.isAlternate).toBe(false);
  });

  it("gives the terminal back before it prints an error of its own", async () => {
    const failing = `process.on("SIGUSR2", () => { throw new Error("made up"); })`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(failing)}` };
    await using screen = await started([], { env });
    screen.signal("SIGUSR2");
    expect(await screen.code).toBe(1);
    expect(screen.isAlternate).toBe(false);
    expect(screen.text).toContain("Error: made up");
    expect(count(screen.written, leaving)).toBe(1);
  });

  it("ends when its window is closed", async () => {
    await using screen = await started();
    await screen.close();
  });

  it("can be quit while it still looks for servers", async () => {
    group.primary.pause();
    try {
      await using screen = await ProgramScreen.start(["top", url]);
      await screen.shows("Looking for servers");
      screen.press("q");
      expect(await screen.code).toBe(0);
      expect(screen.written.endsWith(leaving)).toBe(true);
    } finally {
      group.primary.resume();
    }
  });

  it("prints one table without escape codes with --once and NO_COLOR", async () => {
    await using screen = await ProgramScreen.start(["top", "--once", url], { env: { NO_COLOR: "1" } });
    expect(await screen.code).toBe(0);
    expect(screen.written).not.toContain(esc);
    expect(screen.text).toMatch(/^replica +127\.0\.0\.1:\d+ +serving +0 B +0 ms/m);
  });

  it("uses no colours with NO_COLOR", async () => {
    const colour = new RegExp(`${esc}\\[[\\d;]*m`);
    await using colored = await started();
    expect(colored.written).toMatch(colour);
    await using plain = await started([], { env: { NO_COLOR: "1" } });
    expect(plain.written).not.toMatch(colour);
  });

  describe("whose replica is killed", () => {
    it("shows why the replica is silent, and shows it again when it is back", async () => {
      const [, replica] = group.replicas;
      if (replica === undefined) throw new Error("there is no replica");
      await using screen = await started();
      await replica.server.kill();
      const address = addressOf(replica.server);
      await screen.shows(`! ${address} is silent: connect ECONNREFUSED ${address}`);
      expect(screen.row(`replica  ${address}`)).toMatch(/ silent /);
      expect(screen.row("primary ")).toMatch(/ serving /);
      await replica.server.restart({ empty: true });
      await screen.shows(() => /serving +0 B/.test(screen.row(`replica  ${address}`)), 20_000);
    });
  });
});

describe("tidemark top in a pipe", () => {
  let group: ReplicationGroup;
  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 1 });
  });
  afterAll(() => group.stop());

  it("prints one plain table and exits with 0", async () => {
    const { code, stdout, stderr } = await tidemark(["top", group.primary.url]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).not.toContain(esc);
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^ROLE▲ +ADDRESS +STATE +BEHIND +LAG/),
      expect.stringMatching(/^primary +127\.0\.0\.1:\d+ +serving +- +-/),
      expect.stringMatching(/^replica +127\.0\.0\.1:\d+ +serving +\d+ B +\d+ ms/),
      "",
    ]);
  });

  it("prints one JSON object with --json --once", async () => {
    const { code, stdout } = await tidemark(["top", "--json", "--once", group.primary.url]);
    const [primary, replica] = JSON.parse(stdout).groups[0].servers;
    expect(code).toBe(0);
    expect(primary).toMatchObject({
      role: "primary",
      state: "serving",
      reason: null,
      lagBytes: null,
      lagMs: null,
    });
    expect(replica).toMatchObject({ role: "replica", hasCaughtUp: true, lagBytes: expect.any(Number) });
    expect(replica.link).toEqual({ isUp: true, seconds: expect.any(Number) });
  });

  it("exits with 2 if no server can be reached", async () => {
    const { code, stdout } = await tidemark(["top", "redis://127.0.0.1:1"]);
    expect(code).toBe(2);
    expect(stdout).toContain("ECONNREFUSED");
  });

  it("shows no password", async () => {
    const url = `redis://:hush-hush@127.0.0.1:${group.primary.port}`;
    for (const args of [[url], ["--json", "--once", url], [url.replace("redis", "http")]]) {
      const { stdout, stderr } = await tidemark(["top", ...args]);
      expect(stdout + stderr).not.toContain("hush-hush");
    }
  });

  it("shows two examples with --help", async () => {
    const { code, stdout } = await tidemark(["top", "--help"]);
    expect(code).toBe(0);
    expect(count(stdout, "$ npx tidemark top ")).toBe(2);
  });
});

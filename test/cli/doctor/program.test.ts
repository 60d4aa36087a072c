/** The program `tidemark doctor`, run as a process of its own. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  inShell,
  type RunningProgram,
  startInTerminal,
  startProgram,
  tidemark,
} from "../../support/cli/program.js";
import { freePort } from "../../support/servers/free-port.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";
import { waitUntil } from "../../support/wait-until.js";

const escapes = "\u001b[";
const colour = new RegExp(`${escapes.replace("[", "\\[")}\\d+m`, "g");
const quick = ["--seconds", "1"];

let group: ReplicationGroup;
let locked: RedisServer;
beforeAll(async () => {
  [group, locked] = await Promise.all([
    startReplicationGroup({ replicas: 2, args: ["--appendonly", "yes"] }),
    RedisServer.start({ args: ["--requirepass", "right-w0rd", "--appendonly", "yes"] }),
  ]);
});
afterAll(() => Promise.all([group.stop(), locked.stop()]));

const doctor = (...args: readonly string[]) => ["doctor", group.primary.url, ...quick, ...args];

describe("tidemark doctor", () => {
  it("passes a sound group with 0, and neither colours nor draws a bar in a pipe", async () => {
    const { code, stdout, stderr } = await tidemark(doctor());
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^Connection\n {2}PASS {4}connection from here \(3 servers\): answers\n/);
    expect(stdout).toMatch(/^0 failed, 0 warnings, \d+ passed/m);
    expect(stdout).not.toContain(escapes);
  });

  it("draws the lag, with its quantiles and the reads that replicas can take", async () => {
    const args = doctor("--write-canary", "--think", "5,60000");
    const { stdout } = await tidemark(args);
    expect(stdout).toMatch(/127\.0\.0\.1:\d+ caught up \(\d samples\)\n {2}up to .*█/);
    expect(stdout).toMatch(/ +p50 +p90 +p99 +max\n {2}time .*\n {2}behind by /);
    expect(stdout).toMatch(/ {2}read after +5 ms +60 s\n {2}can take .* 100 %\n/);
    const ascii = await tidemark(args, { LANG: "C" });
    expect(ascii.stdout).toMatch(/ {2}up to .*#/);
    expect([...ascii.stdout].every((character) => character <= "~")).toBe(true);
    expect(await group.primary.admin().keys("*")).toEqual([]);
  });

  it("fits 60 columns, except the lines to paste", async () => {
    await group.primary.admin().config("SET", "repl-disable-tcp-nodelay", "yes");
    const { stdout } = await tidemark(doctor("--write-canary"), { COLUMNS: "60" });
    await group.primary.admin().config("SET", "repl-disable-tcp-nodelay", "no");
    const long = stdout.split("\n").filter((line) => line.length > 60);
    expect(long.filter((line) => !/^ {10}redis-cli /.test(line))).toEqual([]);
    expect(stdout).toContain(
      `redis-cli -h 127.0.0.1 -p ${group.primary.port} CONFIG SET repl-disable-tcp-nodelay no`,
    );
  });

  it("writes nothing without --write-canary", async () => {
    const before = await Promise.all([group.primary.commandCalls("set"), group.primary.commandCalls("del")]);
    await tidemark(doctor());
    expect(await Promise.all([group.primary.commandCalls("set"), group.primary.commandCalls("del")])).toEqual(
      before,
    );
  });

  it("prints JSON with every finding", async () => {
    const { code, stdout } = await tidemark(doctor("--json", "--write-canary"));
    const { summary, findings, lag } = JSON.parse(stdout);
    expect({ code, summary }).toMatchObject({ code: 0, summary: { fail: 0, pass: expect.any(Number) } });
    expect(findings).toContainEqual({
      check: "roles",
      group: "Replication",
      server: `127.0.0.1:${group.primary.port}`,
      verdict: "pass",
      found: "primary with 2 replicas",
    });
    expect(lag[0]).toMatchObject({ samples: expect.any(Number), ms: { p99: expect.any(Number) } });
  });

  it("exits with 1 for a failure, and for a warning with --strict", async () => {
    const [replica] = group.replicas;
    await group.primary.admin().config("SET", "repl-disable-tcp-nodelay", "yes");
    expect((await tidemark(doctor())).code).toBe(0);
    expect((await tidemark(doctor("--strict"))).code).toBe(1);
    await group.primary.admin().config("SET", "repl-disable-tcp-nodelay", "no");
    await replica?.server.admin().config("SET", "replica-read-only", "no");
    expect((await tidemark(doctor())).code).toBe(1);
    await replica?.server.admin().config("SET", "replica-read-only", "yes");
    expect((await tidemark(doctor("--strict"))).code).toBe(0);
  });

  it("exits with 2 if no server can be reached", async () => {
    const { code, stdout } = await tidemark(["doctor", "redis://127.0.0.1:1", ...quick]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: expect.stringContaining("ECONNREFUSED") });
  });

  it("goes on with the other servers if one is dead", async () => {
    const { code, stdout } = await tidemark(doctor("redis://127.0.0.1:1"));
    expect(code).toBe(1);
    expect(stdout).toContain("FAIL    connection from here (127.0.0.1:1): cannot be used");
    expect(stdout).toContain("primary with 2 replicas");
  });
});

describe("What the user types", () => {
  it.each([
    ["10.0.0.1:6379", '"10.0.0.1:6379" is not a URL. Pass "redis://10.0.0.1:6379".'],
    ["http://app:hush-w0rd@10.0.0.1", '"http://***@10.0.0.1" is not the URL of a Redis server'],
    ["redis://app:hush-w0rd@10.0.0.1:99999", '"redis://***@10.0.0.1:99999"'],
    ["redis://:hush-w0rd#x@10.0.0.1", '"redis://***@10.0.0.1"'],
  ])("names what is wrong with %s, without its secrets", async (url, message) => {
    const { code, stdout, stderr } = await tidemark(["doctor", url]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("hush-w0rd");
    expect(stderr).not.toContain("    at ");
  });

  it.each([
    [["doctor", "redis://a", "--pass=hush-w0rd"], "unknown option '--pass=***'"],
    [["redis://:hush-w0rd@a"], "unknown command 'redis://***@a'"],
    [["doctor"], "missing required argument 'url'"],
    [["doctor", "redis://a", "--seconds", "soon"], "Pass a number of at least 0."],
    [["doctor", "redis://a", "--nat-map", "a=b"], "Pass pairs like 172.18.0.3:6379=10.0.0.3:6379"],
    [["doctor", "redis://a", "--sentinel", "x", "--cluster"], "--sentinel and --cluster exclude each other"],
    [["doctor", "redis://a", "--tls-ca", "/no/such/file"], "--tls-ca /no/such/file: ENOENT"],
    [["doctor", "redis://a", "--ask-password"], "--ask-password needs a terminal"],
  ])("is refused with a remedy: %j", async (args, message) => {
    const { code, stderr } = await tidemark(args);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    expect(stderr).not.toContain("hush-w0rd");
  });

  it("gets help with examples", async () => {
    const { code, stdout } = await tidemark(["doctor", "--help"]);
    expect(code).toBe(0);
    expect(stdout.match(/\$ .*tidemark doctor/g)).toHaveLength(2);
    expect((await tidemark(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("A password", () => {
  const place = () => `127.0.0.1:${locked.port}`;

  it.each([
    ["the URL", () => [`redis://:right-w0rd@${place()}`], {}],
    ["REDISCLI_AUTH", () => [`redis://${place()}`], { REDISCLI_AUTH: "right-w0rd" }],
    ["the URL, with --user", () => [`redis://:right-w0rd@${place()}`, "--user", "default"], {}],
  ])("is taken from %s, and never printed", async (_from, args, env) => {
    for (const extra of [[], ["--json"]]) {
      const { stdout, stderr } = await tidemark(["doctor", ...args(), ...quick, ...extra], env);
      expect(stdout).toContain("primary without a replica");
      expect(stdout + stderr).not.toContain("right-w0rd");
    }
  });

  it("is never printed if it is wrong", async () => {
    for (const extra of [[], ["--json"]]) {
      const { code, stdout, stderr } = await tidemark([
        "doctor",
        `redis://u:wr0ng-w0rd@${place()}`,
        ...quick,
        ...extra,
      ]);
      expect({ code, stdout }).toEqual({ code: 2, stdout: expect.stringContaining("WRONGPASS") });
      expect(stdout + stderr).not.toContain("wr0ng-w0rd");
    }
  });

  it("is asked for in a terminal, without an echo", async () => {
    const program = startInTerminal(`tidemark doctor redis://${place()} --seconds 1 --ask-password`);
    await program.says("Password: ");
    program.type("right-w0rd\r");
    const { stdout } = await program.ended();
    expect(stdout).toContain("primary without a replica");
    expect(stdout).not.toContain("right-w0rd");
  });

  it("may be refused with Ctrl-C", async () => {
    const program = startInTerminal(`tidemark doctor redis://${place()} --ask-password`);
    await program.says("Password: ");
    program.type("\u0003");
    expect((await program.ended()).code).toBe(130);
  });
});

it("names failures and warnings once more at the end, failures first", async () => {
  const { stdout } = await tidemark([
    "doctor",
    locked.url,
    `redis://127.0.0.1:${await freePort()}`,
    ...quick,
  ]);
  const end = stdout.slice(stdout.indexOf("\nTo correct\n") + 1).split("\n");
  expect(end[1]).toMatch(/^ {2}FAIL {4}connection from here \(127\.0\.0\.1:\d+\), see Connection$/);
  expect(end.at(-2)).toMatch(/^\d+ failed, /);
  const { stdout: sound } = await tidemark(doctor());
  expect(sound).not.toContain("To correct");
});

describe("The terminal", () => {
  it("shows colours and a bar, which is gone in the end", async () => {
    const program = startInTerminal(`stty cols 60; tidemark doctor ${group.primary.url} --seconds 1`);
    const { code, stdout } = await program.ended();
    expect(code).toBe(0);
    expect(stdout).toContain(`${escapes}32mPASS${escapes}39m`);
    expect(stdout).toMatch(/Sampling the lag █+░* \d+ %/);
    const report = stdout.slice(stdout.lastIndexOf("\r\u001b[2K") + 5);
    expect(report).toMatch(/^\S*Connection/);
    expect(report).not.toContain("Sampling");
    const plain = report.replaceAll(colour, "").split("\r\n");
    expect(plain.filter((line) => line.length > 60 && !line.includes("redis-cli"))).toEqual([]);
  });

  it("shows no colours with NO_COLOR, and some in a pipe with FORCE_COLOR", async () => {
    const program = startInTerminal(`tidemark doctor ${group.primary.url} --seconds 1`, { NO_COLOR: "1" });
    expect((await program.ended()).stdout).not.toMatch(colour);
    expect((await tidemark(doctor(), { FORCE_COLOR: "1" })).stdout).toContain(`${escapes}32mPASS`);
  });

  it("may stop reading, as head does", async () => {
    // The reader ends before the report is written.
    const { stderr } = await inShell(`tidemark doctor ${group.primary.url} --seconds 1 | true`);
    expect(stderr).toBe("");
  });

  /** Starts the program, and resolves when it has asked the server everything. */
  async function startedLooking(server: RedisServer, ...args: readonly string[]): Promise<RunningProgram> {
    const last = () => server.commandCalls("client|tracking");
    const before = await last();
    const program = startProgram(["doctor", group.primary.url, ...args]);
    await waitUntil(async () => (await last()) > before, { what: "the program has asked everything" });
    return program;
  }

  it("may send Ctrl-C, which prints what is known and exits with 130", async () => {
    const [replica] = group.replicas;
    const program = await startedLooking(replica?.server ?? group.primary, "--seconds", "1000");
    program.kill("SIGINT");
    const { code, stdout, stderr } = await program.ended();
    expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
    expect(stdout).toContain("primary with 2 replicas");
    expect(await noClientsOf(group.primary)).toBe(true);
  });

  it("may send Ctrl-C while a server does not answer", async () => {
    await using frozen = await RedisServer.start();
    frozen.pause();
    const program = await startedLooking(group.primary, frozen.url, "--seconds", "1000");
    program.kill("SIGINT");
    const { code, stdout } = await program.ended();
    expect(code).toBe(130);
    expect(stdout).toContain(`connection from here (127.0.0.1:${frozen.port}): cannot be used`);
  });
});

/** Whether only the tests' own connection is left. */
async function noClientsOf(server: RedisServer): Promise<boolean> {
  await waitUntil(async () => (await server.info("clients")).connected_clients === "1", {
    what: "all connections of the program are closed",
  });
  return true;
}

describe("tidemark doctor --watch", () => {
  it("prints the report once, then only what changes, until Ctrl-C", async () => {
    const program = startProgram(["doctor", group.primary.url, "--seconds", "0", "--watch", "0.2"]);
    await program.says("0 failed");
    const report = program.stdout;
    await group.primary.admin().config("SET", "repl-disable-tcp-nodelay", "yes");
    await program.says("PASS -> WARN");
    await group.primary.admin().config("SET", "repl-disable-tcp-nodelay", "no");
    await program.says("WARN -> PASS");
    program.kill("SIGINT");
    const { code, stdout, stderr } = await program.ended();
    expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
    expect(stdout.slice(report.length)).toMatch(
      /^\d\d:\d\d:\d\d {2}PASS -> WARN\n {10}delay before the stream is sent[\s\S]*\n\d\d:\d\d:\d\d {2}WARN -> PASS\n/,
    );
    expect(stdout.slice(report.length)).not.toContain("Connection");
  });
});

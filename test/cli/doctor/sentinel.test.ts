/** The checks of Sentinels, on real ones. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checked, finding, type Inspected } from "../../support/cli/inspected.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import {
  quickPeriods,
  type SentinelGroup,
  startSentinelGroup,
} from "../../support/servers/sentinel-group.js";
import { viewOf } from "../../support/servers/sentinel-view.js";
import { waitUntil } from "../../support/wait-until.js";

let group: SentinelGroup;
beforeAll(async () => {
  group = await startSentinelGroup({ periods: quickPeriods, downAfterMs: 2_000 });
});
afterAll(() => group.stop());

function checkedHere(id: string, options: Inspected = {}) {
  const urls = group.sentinels.map(({ url }) => url);
  return checked(id, urls, { sentinel: group.name, ...options });
}

function sentinelAt(index: number): RedisServer {
  const sentinel = group.sentinels[index];
  if (sentinel === undefined) throw new Error("there is no such Sentinel");
  return sentinel;
}

/** A Sentinel of its own. It watches the server at `port`. */
function lonely(name: string, port: number): Promise<RedisServer> {
  const lines = [
    `sentinel monitor ${name} 127.0.0.1 ${port} 1`,
    `sentinel down-after-milliseconds ${name} 60000`,
  ];
  return RedisServer.start({ config: `${lines.join("\n")}\n`, args: ["--sentinel"] });
}

/** Sets an option of the primary on all Sentinels, or on those at the indexes, and later sets it back. */
async function setting(option: string, value: string, indexes = [0, 1, 2]): Promise<AsyncDisposable> {
  const sentinels = indexes.map(sentinelAt);
  const set = async (to: readonly string[]): Promise<void> => {
    for (const [index, sentinel] of sentinels.entries())
      await sentinel.admin().call("SENTINEL", "SET", group.name, option, to[index] ?? "");
  };
  const before = await Promise.all(sentinels.map((sentinel) => fieldOf(sentinel, option)));
  await set(sentinels.map(() => value));
  return { [Symbol.asyncDispose]: () => set(before) };
}

async function fieldOf(sentinel: RedisServer, name: string): Promise<string> {
  const reply = await sentinel.admin().call("SENTINEL", "MASTER", group.name);
  const words = Array.isArray(reply) ? reply.map(String) : [];
  return words[words.indexOf(name) + 1] ?? "";
}

describe("The check sentinel-mode", () => {
  it("fails a Sentinel that is given as a server, and says nothing of servers", async () => {
    const { server } = await group.primary();
    const { url } = sentinelAt(0);
    expect(await checked("sentinel-mode", [url, server.url])).toEqual([
      expect.objectContaining({ verdict: "fail", fix: `tidemark doctor --sentinel <name> ${url}` }),
    ]);
    expect(await checkedHere("sentinel-mode")).toEqual([]);
  });
});

describe("The check sentinel-name", () => {
  it("passes Sentinels that watch the name", async () => {
    const passes = finding("pass", `watches "${group.name}"`);
    expect(await checkedHere("sentinel-name")).toEqual([passes, passes, passes]);
  });

  it("fails a Sentinel that watches another name, with the line that corrects it", async () => {
    const { port } = await group.primary();
    await using other = await lonely("other", port);
    const urls = [...group.sentinels.map(({ url }) => url), other.url];
    expect(await checked("sentinel-name", urls, { sentinel: group.name })).toContainEqual({
      ...{ check: "sentinel-name", group: "Sentinel", verdict: "fail" },
      server: `127.0.0.1:${other.port}`,
      found: `it does not know the name "${group.name}". It watches "other"`,
      why: expect.any(String),
      fix: `redis-cli -h 127.0.0.1 -p ${other.port} SENTINEL MONITOR ${group.name} 127.0.0.1 ${port} 2`,
    });
  });

  it("fails a Redis server that is given as a Sentinel", async () => {
    const { server } = await group.primary();
    expect(await checked("sentinel-name", [server.url], { sentinel: group.name })).toEqual([
      finding("fail", "no Sentinel"),
    ]);
  });
});

describe("The check sentinel-count", () => {
  it("passes three Sentinels, and finds all by one", async () => {
    const options = { sentinel: group.name };
    expect(await checked("sentinel-count", [sentinelAt(0).url], options)).toEqual([
      finding("pass", "3 Sentinels of 3"),
    ]);
  });

  it("warns of a single Sentinel, and fails without any", async () => {
    const { port } = await group.primary();
    const one = await lonely("alone", port);
    const options = { sentinel: "alone" };
    expect(await checked("sentinel-count", [one.url], options)).toEqual([
      finding("warn", "only one Sentinel"),
    ]);
    await one.stop();
    expect(await checked("sentinel-count", [one.url], options)).toEqual([finding("fail", "no Sentinel")]);
  });

  it("warns of a dead Sentinel, and fails if most are dead", async () => {
    await sentinelAt(2).kill();
    expect(await checkedHere("sentinel-count")).toEqual([finding("warn", "2 Sentinels of 3")]);
    await sentinelAt(1).kill();
    expect(await checkedHere("sentinel-count")).toEqual([finding("fail", "one Sentinel of 3")]);
    await waitUntil(
      async () => (await checkedHere("sentinel-quorum")).some(({ verdict }) => verdict === "fail"),
      {
        what: "the last Sentinel notices that the others are gone",
      },
    );
    expect(await checkedHere("sentinel-quorum")).toEqual([finding("fail", "NOQUORUM")]);
    await sentinelAt(1).restart();
    await sentinelAt(2).restart();
    await group.ready();
    const isSound = async () =>
      (await checkedHere("sentinel-quorum")).every(({ verdict }) => verdict === "pass");
    await waitUntil(isSound, { what: "the Sentinels reach each other again" });
  });
});

describe("The check sentinel-quorum", () => {
  it("passes a quorum that can be reached", async () => {
    const passes = finding("pass", "2 of 3 have to agree");
    expect(await checkedHere("sentinel-quorum")).toEqual([passes, passes, passes]);
  });

  it("fails a quorum of more Sentinels than there are", async () => {
    await using _ = await setting("quorum", "5");
    const [first] = await checkedHere("sentinel-quorum");
    expect(first).toEqual(finding("fail", "the quorum is 5", "only 3 Sentinels"));
    expect(first?.fix).toContain(`SENTINEL SET ${group.name} quorum 2`);
  });

  it("warns if the Sentinels have different quorums", async () => {
    await using _ = await setting("quorum", "3", [0]);
    expect(await checkedHere("sentinel-quorum")).toContainEqual(
      finding("warn", "the quorum is 3", "another quorum"),
    );
  });
});

describe("The check sentinel-agreement", () => {
  it("passes Sentinels that name the same primary", async () => {
    const { port } = await group.primary();
    expect(await checkedHere("sentinel-agreement")).toEqual([finding("pass", `all name 127.0.0.1:${port}`)]);
  });

  it("fails Sentinels that name different primaries", async () => {
    await using elsewhere = await RedisServer.start();
    await using other = await lonely(group.name, elsewhere.port);
    const urls = [sentinelAt(0).url, other.url];
    expect(await checked("sentinel-agreement", urls, { sentinel: group.name })).toEqual([
      finding("fail", "different primaries", `127.0.0.1:${other.port} names 127.0.0.1:${elsewhere.port}`),
    ]);
  });

  it("fails a Sentinel that watches a replica", async () => {
    const [replica] = await group.replicas();
    await using other = await lonely("wrong", replica?.port ?? 0);
    expect(await checked("sentinel-agreement", [other.url], { sentinel: "wrong" })).toEqual([
      finding("fail", "says that it is a replica"),
    ]);
  });

  it("fails a primary that the Sentinels take for dead", async () => {
    const gone = await RedisServer.start();
    const config = `sentinel monitor dead 127.0.0.1 ${gone.port} 1\nsentinel down-after-milliseconds dead 100\n`;
    await using other = await RedisServer.start({ config, args: ["--sentinel"] });
    await gone.stop();
    const isDown = async () =>
      String(await other.admin().call("SENTINEL", "MASTER", "dead")).includes("s_down");
    await waitUntil(isDown, { what: "the Sentinel takes the primary for dead" });
    expect(await checked("sentinel-agreement", [other.url], { sentinel: "dead", timeoutMs: 1_000 })).toEqual([
      finding("fail", `name 127.0.0.1:${gone.port}`, "down"),
    ]);
  });
});

describe("The check sentinel-replicas", () => {
  it("passes the replicas that the primary has", async () => {
    const passes = finding("pass", "2 replicas of the primary");
    expect(await checkedHere("sentinel-replicas")).toEqual([passes, passes, passes]);
  });

  it("warns of a replica that is not announced", async () => {
    const [replica] = await group.replicas();
    await replica?.server.admin().call("CONFIG", "SET", "replica-announced", "no");
    const isHidden = async () => (await viewOf(sentinelAt(0), group.name)).replicas.size === 1;
    await waitUntil(isHidden, { what: "the Sentinel hides the replica" });
    const [first] = await checkedHere("sentinel-replicas");
    await replica?.server.admin().call("CONFIG", "SET", "replica-announced", "yes");
    await group.ready();
    expect(first).toEqual(finding("warn", `does not list 127.0.0.1:${replica?.port}`));
  });

  it("warns of a replica that is not connected to the primary", async () => {
    const [primary, [replica]] = await Promise.all([group.primary(), group.replicas()]);
    const port = replica?.port ?? 0;
    primary.proxy.cut(port);
    const isGone = async () => (await primary.server.info("replication")).connected_slaves === "1";
    await waitUntil(isGone, { what: "the primary has lost a replica" });
    const [first] = await checkedHere("sentinel-replicas");
    primary.proxy.mend(port);
    await group.ready();
    expect(first).toEqual(finding("warn", `lists 127.0.0.1:${port}`, "not connected to the primary"));
  });

  it("warns of a dead replica, with the line that removes it", async () => {
    const [replica] = await group.replicas();
    await replica?.server.kill();
    const isDown = async () =>
      (await viewOf(sentinelAt(0), group.name)).replicas.get(replica?.port ?? 0)?.includes("s_down") ?? false;
    await waitUntil(isDown, { what: "the Sentinel takes the replica for dead" });
    const [first] = await checkedHere("sentinel-replicas", { timeoutMs: 1_000 });
    await replica?.server.restart();
    await group.ready();
    expect(first).toEqual(finding("warn", "down", String(replica?.port)));
    expect(first?.fix).toContain(`SENTINEL RESET ${group.name}`);
  });
});

describe("The check sentinel-timing", () => {
  it("passes a failover that begins soon", async () => {
    const passes = finding("pass", "down-after-milliseconds is 2");
    expect(await checkedHere("sentinel-timing")).toEqual([passes, passes, passes]);
  });

  it("warns if replicas give up earlier than the Sentinels", async () => {
    await using _ = await setting("down-after-milliseconds", "60000", [0]);
    expect((await checkedHere("sentinel-timing"))[0]).toEqual(
      finding("warn", "60000", "repl-timeout of 60 s"),
    );
  });

  it("warns of a long time without writes", async () => {
    await using _ = await setting("down-after-milliseconds", "45000", [0]);
    const [first] = await checkedHere("sentinel-timing");
    expect(first).toEqual(finding("warn", "for 45 s", "writes fail"));
    expect(first?.fix).toContain("down-after-milliseconds 10000");
  });
});

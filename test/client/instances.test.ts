/** Many Tidemarks with the same servers in one process cause a warning, because they are probably a leak. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { Tidemark } from "../../src/index.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const code = "TIDEMARK_MANY_INSTANCES";
const opened: Tidemark[] = [];
const warnings: string[] = [];
let group: ReplicationGroup;

function listen(warning: Error & { code?: string }): void {
  if (warning.code === code) warnings.push(warning.message);
}

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  process.on("warning", listen);
});

afterAll(async () => {
  process.off("warning", listen);
  await group.stop();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((tidemark) => tidemark.close()));
  warnings.length = 0;
});

function open(make = openTidemark): Tidemark {
  const tidemark = make(group, { redis: { lazyConnect: true } });
  opened.push(tidemark);
  return tidemark;
}

/** Process warnings come a turn later. */
async function saidSoFar(): Promise<readonly string[]> {
  const before = warnings.length;
  process.emitWarning("the last", { code });
  await waitUntil(() => warnings.indexOf("the last", before) >= 0, { what: "all warnings were emitted" });
  return warnings.filter((message) => message !== "the last");
}

describe("Tidemarks with the same servers", () => {
  it("cause one warning when four are open", async () => {
    for (let i = 0; i < 3; i++) open();
    expect(await saidSoFar()).toEqual([]);
    for (let i = 0; i < 10; i++) open();
    const { host, port } = group.primary;
    expect(await saidSoFar()).toEqual([
      `4 Tidemarks for the primary ${host}:${port} are open in this process.`,
    ]);
  });

  it("do not count after they are closed, in any way", async () => {
    for (let i = 0; i < 5; i++) {
      const [one, other, third] = [open(), open(), open()];
      await one.close();
      other.redis.disconnect();
      await third.redis.quit();
    }
    expect(await saidSoFar()).toEqual([]);
  });

  it("count again when they connect again", async () => {
    const four = [open(), open(), open()];
    await four[0]?.close();
    four.push(open());
    expect(await saidSoFar()).toEqual([]);
    await four[0]?.redis.connect();
    expect(await saidSoFar()).toHaveLength(1);
  });

  it("are counted together when the module is loaded again", async () => {
    open();
    open();
    for (let i = 0; i < 2; i++) {
      vi.resetModules();
      const copy = await import("../../src/index.js");
      expect(copy.Tidemark).not.toBe(Tidemark);
      open((_, options) => new copy.Tidemark({ primary: group.primary.url, ...options }));
    }
    expect(await saidSoFar()).toHaveLength(1);
  });

  it("are counted separately from those of other servers", async () => {
    for (let i = 0; i < 3; i++) open();
    opened.push(new Tidemark({ primary: { host: "127.0.0.1", port: 1 }, redis: { lazyConnect: true } }));
    opened.push(new Tidemark({ cluster: [group.primary.url], redis: { lazyConnect: true } }));
    expect(await saidSoFar()).toEqual([]);
  });
});

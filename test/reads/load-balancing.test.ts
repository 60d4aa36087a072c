/** How reads are shared among eligible replicas: evenly, fewer to slow ones, near ones first, by weight. */
import { afterEach, describe, expect, it } from "vitest";
import { InvalidOptionError, Tidemark } from "../../src/index.js";
import { LagProxy } from "../support/proxies/lag-proxy.js";
import { tellsZone } from "../support/servers/abilities.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
const opened: Tidemark[] = [];

stageTidemark({ replicas: 3 }, (stage) => {
  ({ group } = stage);
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
});

type Options = Partial<ConstructorParameters<typeof Tidemark>[0]>;

async function open(options: Options = {}): Promise<Tidemark> {
  const replicas = group.replicas.map(({ server }) => server.url);
  const made = Reflect.construct(Tidemark, [{ primary: group.primary.url, replicas, ...options }]);
  opened.push(made);
  await replicasAreEligible(made);
  return made;
}

const addresses = (): string[] => group.replicas.map(({ server }) => `127.0.0.1:${server.port}`);

/** How many of `count` reads, `atOnce` at a time and each of a new session, each replica has answered. */
async function shares(tidemark: Tidemark, count: number, atOnce: number): Promise<number[]> {
  const calls = () => Promise.all(group.replicas.map(({ server }) => server.commandCalls("strlen")));
  const before = await calls();
  for (let sent = 0; sent < count; sent += atOnce)
    await Promise.all(Array.from({ length: atOnce }, () => tidemark.session().redis.strlen("k")));
  return (await calls()).map((after, index) => (after - (before[index] ?? 0)) / count);
}

describe("Selecting replicas", () => {
  // A pause of one server, whatever else the machine does, makes it the slower one for a while.
  it.each([1, 16, 64])(
    "gives equal replicas equal shares, with %i in flight",
    { retry: 4 },
    async (atOnce) => {
      for (const share of await shares(await open(), 6_400, atOnce)) {
        expect(share).toBeGreaterThan(0.8 / 3);
        expect(share).toBeLessThan(1.2 / 3);
      }
    },
  );

  it("gives a slow replica a smaller share, and the full share when it is as fast as the others again", async () => {
    const [first, second, third] = group.replicas;
    const slow = await LagProxy.start({ targetPort: third?.server.port ?? 0 });
    try {
      const replicas = [first, second].map((one) => one?.server.url ?? "");
      const tidemark = await open({ replicas: [...replicas, { host: slow.host, port: slow.port }] });
      const latency = (): number => tidemark.topology()[3]?.latencyMs ?? 0;
      const looks = async (until: () => boolean, what: string): Promise<void> => {
        await waitUntil(
          async () => {
            await tidemark.session().redis.strlen("k");
            return until();
          },
          { what },
        );
      };
      slow.delay(20);
      await looks(() => latency() > 10, "it is known to be slow");
      expect((await shares(tidemark, 1_600, 8))[2]).toBeLessThan(0.1);
      slow.delay(0);
      await looks(() => latency() < 1, "it is known to be fast again");
      expect((await shares(tidemark, 3_200, 8))[2]).toBeGreaterThan(0.2);
    } finally {
      await slow.stop();
    }
  });

  it("prefers replicas in its own zone, and uses others when none in the zone may answer", async () => {
    const [here = "", near = "", there = ""] = addresses();
    const tidemark = await open({ zone: "a", zones: { [here]: "a", [near]: "a", [there]: "b" } });
    const [one = 0, two = 0, three] = await shares(tidemark, 6_400, 16);
    expect(three).toBe(0);
    expect(Math.min(one, two)).toBeGreaterThan(0.4);
    expect(tidemark.topology().map(({ zone }) => zone)).toEqual([undefined, "a", "a", "b"]);
    const elsewhere = await open({ zone: "c", zones: { [here]: "a", [near]: "a", [there]: "b" } });
    for (const share of await shares(elsewhere, 6_400, 16)) expect(share).toBeGreaterThan(0.1);
  });

  it.skipIf(!tellsZone)("uses the zones that servers report, unless the options name others", async () => {
    const name = (zones: readonly string[]): Promise<unknown> =>
      Promise.all(
        group.replicas.map(({ server }, i) =>
          server.admin().config("SET", "availability-zone", zones[i] ?? ""),
        ),
      );
    const zonesOf = (tidemark: Tidemark) => tidemark.topology().map(({ zone }) => zone);
    await name(["a", "b"]);
    try {
      const tidemark = await open({ zone: "b" });
      expect(zonesOf(tidemark)).toEqual([undefined, "a", "b", undefined]);
      expect(await shares(tidemark, 640, 16)).toEqual([0, 1, 0]);
      const [first = ""] = addresses();
      const told = await open({ zone: "b", zones: { [first]: "b" } });
      expect(zonesOf(told)).toEqual([undefined, "b", "b", undefined]);
      const [one = 0, two = 0] = await shares(told, 640, 16);
      expect([one > 0, two > 0, one + two]).toEqual([true, true, 1]);
    } finally {
      await name([]);
    }
  });

  it("distributes by weight, and leaves out replicas of weight zero", async () => {
    const [heavy = "", light = "", none = ""] = addresses();
    const replicas = group.replicas.map(({ server }) => server.url);
    const tidemark = new Tidemark({
      primary: group.primary.url,
      replicas,
      weights: { [heavy]: 2, [light]: 1, [none]: 0 },
    });
    opened.push(tidemark);
    await waitUntil(
      async () => {
        await tidemark.session().redis.strlen("k");
        const [, one, other, last] = tidemark.topology();
        return one?.eligible === true && other?.eligible === true && last?.reason === "its weight is 0";
      },
      { what: "only replicas with a weight above 0 are eligible" },
    );
    expect(tidemark.topology()[3]).toMatchObject({ weight: 0, eligible: false });
    for (const atOnce of [1, 64]) {
      const [most = 0, less = 0, least] = await shares(tidemark, 6_400, atOnce);
      expect(least).toBe(0);
      // Slower servers get fewer reads, and on a busy machine one of them is slower for a while.
      expect(most / less).toBeGreaterThan(1.4);
      expect(most / less).toBeLessThan(4);
    }
  });

  it.each([
    ["an invalid zone", { zone: "" }, /zone: got ""\. Pass the name of a zone/],
    ["zones as a list", { zones: ["a"] }, /zones: got an array\. Pass an object/],
    ["an invalid zone of a server", { zones: { "a:1": 5 } }, /zones\.a:1: got 5/],
    [
      "a negative weight",
      { weights: { "a:1": -1 } },
      /weights\.a:1: got -1\. Pass a number, or 0 for no reads/,
    ],
    ["a weight as a string", { weights: { "a:1": "2" } }, /weights\.a:1: got a string/],
  ])("throws for %s", (_, options, message) => {
    const make = (): unknown =>
      Reflect.construct(Tidemark, [{ primary: "redis://127.0.0.1:1", replicas: [], ...options }]);
    expect(make).toThrow(InvalidOptionError);
    expect(make).toThrow(message);
  });
});

/** A rollout to a share of the users: who is included, and that each user stays on one side in every process. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { header } from "../../src/http/carriers/header.js";
import { Keyring } from "../../src/http/keyring.js";
import type { Tidemark } from "../../src/index.js";
import { Browser } from "../support/http/browser.js";
import { type Door, doors, listening } from "../support/http/door.js";
import { type Scene, secret } from "../support/http/framework-app.js";
import { TokenHolder } from "../support/http/token-holder.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

let group: ReplicationGroup;
let here: Tidemark;
let there: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  await group.primary.admin().set("key", "value");
  await group.caughtUp();
});

afterAll(() => group.stop());

beforeEach(async () => {
  [here, there] = [openTidemark(group, { rollout: 0.5 }), openTidemark(group, { rollout: 0.5 })];
  await Promise.all([replicasAreEligible(here), replicasAreEligible(there)]);
});

afterEach(async () => {
  await Promise.all([here.close(), there.close()]);
  await releaseReplicas(group);
});

/** Says whether replicas may answer this user, and reads. `?set=` writes first. */
const side = (
  given: Pick<Scene, "carrier" | "rollout"> & { readonly cacheControl?: string } = {},
): Scene => ({
  ...given,
  handler: async ({ session, query }) => {
    const value = query.get("set");
    if (value !== null) await session.redis.set(query.get("key") ?? "own", value);
    const read = await session.redis.get(query.get("key") ?? "key");
    const { cacheControl } = given;
    return { body: `${session.isLive ? "in" : "out"} ${read}`, ...(cacheControl && { cacheControl }) };
  },
});

/** `count` browsers whose requests go to the two processes in turn. */
function browsersOf(count: number, ...open: readonly Door[]): Browser[] {
  return Array.from({ length: count }, () => new Browser(open));
}

async function askAll(browsers: readonly Browser[]): Promise<string[]> {
  const bodies: string[] = [];
  for (const browser of browsers) bodies.push((await browser.ask()).body);
  return bodies;
}

describe("by id", () => {
  const ids = Array.from({ length: 2_000 }, (_, id) => `user-${id}`);
  const includedBy = (tidemark: Tidemark): string[] =>
    ids.filter((id) => tidemark.session({ rollout: id }).isLive);

  it("5 % of 2,000 users are the same users in every process and each time", () => {
    here.rollout = 0.05;
    there.rollout = 0.05;
    const included = includedBy(here);
    expect(includedBy(there)).toEqual(included);
    expect(includedBy(here)).toEqual(included);
    // The ids are fixed, so this number never changes. 5 % would be 100.
    expect(included.length).toBeGreaterThan(80);
    expect(included.length).toBeLessThan(120);
  });

  it("a larger share only adds users", () => {
    const included = [0, 0.01, 0.05, 0.5, 0.999, 1].map((share) => {
      here.rollout = share;
      return new Set(includedBy(here));
    });
    for (const [index, users] of included.entries())
      for (const user of included[index - 1] ?? []) expect(users).toContain(user);
    expect(included[0]?.size).toBe(0);
    expect(included.at(-1)?.size).toBe(2_000);
  });

  it("numbers are ids too, and an app may decide itself", () => {
    expect(here.session({ rollout: 17 }).isLive).toBe(here.session({ rollout: "17" }).isLive);
    expect(here.session({ rollout: 17n }).isLive).toBe(here.session({ rollout: "17" }).isLive);
    expect([here.session({ rollout: true }).isLive, here.session({ rollout: false }).isLive]).toEqual([
      true,
      false,
    ]);
    here.rollout = 0;
    expect(here.session({ rollout: true }).isLive).toBe(true);
    here.mode = "off";
    expect(here.session({ rollout: true }).isLive).toBe(false);
  });

  it.each([[undefined], [null], [""], [Number.NaN]])("a user without an id (%s) is not included", (id) => {
    here.rollout = 0.999;
    for (let i = 0; i < 50; i += 1) expect(here.session({ rollout: id }).isLive).toBe(false);
    here.rollout = 1;
    expect(here.session({ rollout: id }).isLive).toBe(true);
  });

  it("a session asks for its user once, and only while the rollout is partial", () => {
    let asked = 0;
    const session = here.session({
      rollout: () => {
        asked += 1;
        return `user-${asked}`;
      },
    });
    here.rollout = 1;
    expect([session.isLive, asked]).toEqual([true, 0]);
    here.rollout = 0.5;
    for (let i = 0; i < 20; i += 1) session.isLive;
    expect(asked).toBe(1);
  });

  it("refuses what is no id", () => {
    const given: { rollout: unknown } = { rollout: { id: 1 } };
    expect(() => Reflect.apply(here.session, here, [given])).toThrow(
      "Pass an id of the user, or true or false",
    );
  });
});

describe.each(Object.entries(doors))("on %s", (_name, open) => {
  it("each browser stays on one side, in both processes", async () => {
    await using first = await open(here, side());
    await using second = await open(there, side());
    const browsers = browsersOf(24, first, second);
    // Nobody is known yet, so nobody is included.
    expect(await askAll(browsers)).toEqual(browsers.map(() => "out value"));
    const sides = await askAll(browsers);
    for (let i = 0; i < 3; i += 1) expect(await askAll(browsers)).toEqual(sides);
    // By chance, all 24 are on one side once in 8 million runs.
    expect(new Set(sides)).toEqual(new Set(["in value", "out value"]));
    for (const tidemark of [here, there]) tidemark.rollout = 1;
    expect(await askAll(browsers)).toEqual(browsers.map(() => "in value"));
  });

  it.each(["off", "shadow"] as const)(
    "with the mode %s, a response brings a token for writes that nobody awaits, and a live process honours it",
    async (mode) => {
      const scene: Scene = {
        handler: async ({ session, query }) => {
          if (query.get("set") === null) return { body: String(await session.redis.get("own")) };
          session.redis.set("own", query.get("set") ?? "");
          session.redis.pipeline().incr("count").exec();
          return { body: "set" };
        },
      };
      here.mode = mode;
      there.rollout = 1;
      await using first = await open(here, scene);
      await using second = await open(there, scene);
      holdReplicas(group);
      const browser = new Browser([first, second]);
      const value = `${mode}-${Math.random()}`;
      expect((await browser.ask({ query: `set=${value}` })).body).toBe("set");
      expect((await browser.ask()).body).toBe(value);
    },
  );

  it("a function tells the users apart, without a cookie of Tidemark's own", async () => {
    let user: string | boolean | undefined = true;
    await using door = await open(here, side({ rollout: () => user }));
    expect(await door.ask()).toMatchObject({ status: 200, body: "in value" });
    expect((await door.ask()).headers).not.toHaveProperty("set-cookie");
    user = false;
    expect((await door.ask()).body).toBe("out value");
    user = undefined;
    const unknown = await door.ask();
    expect(unknown.body).toBe("out value");
    expect(String(unknown.headers["set-cookie"])).toMatch(
      /^tm_rollout=[\w-]+; Max-Age=7776000; Path=\/; HttpOnly/,
    );
  });

  it.each<[string, () => string]>([
    [
      "throws",
      () => {
        throw new Error("no user");
      },
    ],
    // Apps in JavaScript may return anything.
    ["returns no id", () => JSON.parse('{ "id": 1 }')],
  ])("a function that %s leaves its user out, and the response is sent", async (_what, rollout) => {
    using warnings = listenToWarnings();
    const scene = side({ rollout });
    await using door = await open(here, scene);
    for (let i = 0; i < 2; i += 1) expect(await door.ask()).toMatchObject({ status: 200, body: "out value" });
    await expect.poll(() => warnings.of("TIDEMARK_ROLLOUT")).toHaveLength(1);
  });
});

describe.each(Object.entries(listening).slice(0, 2))("on %s", (_name, open) => {
  const cookieOf = async (door: Door): Promise<string | undefined> =>
    (await door.ask()).headers["set-cookie"]?.find((line) => line.startsWith("tm_rollout="));

  it("responses for shared caches bring no cookie", async () => {
    for (const cacheControl of ["public, max-age=60", "max-age=60, S-MaxAge=60"]) {
      await using door = await open(here, side({ cacheControl }));
      expect((await door.ask()).headers).toMatchObject({ "cache-control": cacheControl });
      expect(await cookieOf(door)).toBeUndefined();
    }
    await using door = await open(here, side({ cacheControl: "max-age=60" }));
    expect((await door.ask()).headers).toMatchObject({ "cache-control": "private, max-age=60" });
  });

  it("responses bring no cookie while everybody is included, or nobody because of the mode", async () => {
    await using door = await open(here, side());
    expect(await cookieOf(door)).toBeDefined();
    here.rollout = 1;
    expect(await cookieOf(door)).toBeUndefined();
    [here.rollout, here.mode] = [0.5, "off"];
    expect(await cookieOf(door)).toBeUndefined();
  });

  it("a forged cookie, a token and the cookie of another secret say nothing", async () => {
    here.rollout = 0.9999;
    await using door = await open(here, side());
    const text = new Keyring("another secret of this test").seal(
      Buffer.from([0xb0, 0, 0]).toString("base64url"),
    );
    const session = here.session();
    await session.redis.set("other", "value");
    const token = new Keyring(secret).seal(session.token());
    for (const value of [text, token, "forged-forged-forged-forged", "x", ""]) {
      const answered = await door.ask({ headers: { Cookie: `tm_rollout=${value}` } });
      expect(answered).toMatchObject({ status: 200, body: "out value" });
      expect(String(answered.headers["set-cookie"])).toContain("tm_rollout=");
    }
    const own = new Keyring(secret).seal(Buffer.from([0xb0, 0, 0]).toString("base64url"));
    const known = await door.ask({ headers: { Cookie: `a=b; tm_rollout=${own}` } });
    expect(known.body).toBe("in value");
    expect(known.headers).not.toHaveProperty("set-cookie");
  });

  it("with another carrier, users without an id are left out until everybody is included", async () => {
    await using door = await open(here, side({ carrier: header() }));
    const user = new TokenHolder(door);
    for (let i = 0; i < 5; i += 1) expect((await user.ask({})).body).toBe("out value");
    here.rollout = 1;
    expect((await user.ask({})).body).toBe("in value");
  });

  it("users see their own writes on both sides, and when they change sides", async () => {
    await using first = await open(here, side());
    await using second = await open(there, side());
    const browsers = browsersOf(12, first, second);
    await askAll(browsers);
    holdReplicas(group);
    onTestFinished(() => releaseReplicas(group));
    let turn = 0;
    for (const [atHere, atThere] of [
      [0.5, 0.5],
      [1, 0.5],
      [0.5, 1],
      [1, 1],
      [0, 1],
      [0, 0],
    ] as const) {
      [here.rollout, there.rollout] = [atHere, atThere];
      for (const [index, browser] of browsers.entries()) {
        const value = `turn-${turn++}`;
        const { body } = await browser.ask({ query: `key=own-${index}&set=${value}` });
        expect(body).toMatch(value);
        for (let i = 0; i < 2; i += 1)
          expect((await browser.ask({ query: `key=own-${index}` })).body).toMatch(value);
      }
    }
  });
});

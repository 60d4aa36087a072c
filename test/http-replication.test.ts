/** Users of every framework on real servers, whose writes no replica has got; each token carried every way there is. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cookie } from "../src/http/cookie.js";
import { header } from "../src/http/header.js";
import type { Tidemark } from "../src/index.js";
import { type Door, doors } from "./support/door.js";
import { replicasAreEligible } from "./support/eligible-replicas.js";
import { Refusal, type Scene, type Turn } from "./support/frameworks.js";
import { holdReplicas, releaseReplicas } from "./support/held-replicas.js";
import { openTidemark } from "./support/open-tidemark.js";
import { type ReplicationGroup, startReplicationGroup } from "./support/replication-group.js";
import { TokenHolder } from "./support/token-holder.js";

let group: ReplicationGroup;
/** Two processes of one app. */
let here: Tidemark;
let there: Tidemark;
let keys = 0;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  [here, there] = [openTidemark(group), openTidemark(group)];
  await Promise.all([replicasAreEligible(here), replicasAreEligible(there)]);
});

afterEach(() => releaseReplicas(group));

afterAll(async () => {
  await Promise.all([here.close(), there.close()]);
  await group.stop();
});

const carriers = { cookie: cookie(), header: header(), "both at once": [cookie(), header()] };

/** `?set=text` writes, in the way that `how` names, `?at=level` reads, both the key that `key` names. */
function notes(tidemark: Tidemark, carrier: Scene["carrier"]): Scene {
  const set = ({ session, query }: Turn, text: string) => {
    const key = query.get("key") ?? "";
    const client = query.get("how") === "ambient" ? tidemark.redis : session.redis;
    return client.set(key, text);
  };
  return {
    carrier,
    handler: async (turn) => {
      const { session, query } = turn;
      const text = query.get("set");
      if (text === null) {
        const client = query.get("at") === "eventual" ? session.redis.at("eventual") : session.redis;
        return { body: String(await client.get(query.get("key") ?? "")) };
      }
      const writing = set(turn, text);
      if (query.get("how") === "refused") throw new Refusal(409);
      if (query.get("how") === "awaited") await writing;
      return { status: 201, body: "stored" };
    },
  };
}

describe.each(Object.entries(doors))("on %s", (_name, open) => {
  describe.each(Object.entries(carriers))("by %s", (_carrier, carrier) => {
    async function openBoth(): Promise<AsyncDisposable & { readonly door: Door }> {
      const [first, second] = await Promise.all([
        open(here, notes(here, carrier)),
        open(there, notes(there, carrier)),
      ]);
      let asked = 0;
      return {
        door: { ...first, ask: (one) => [first, second][asked++ % 2]?.ask(one) ?? Promise.reject() },
        [Symbol.asyncDispose]: async () => {
          await Promise.all([first[Symbol.asyncDispose](), second[Symbol.asyncDispose]()]);
        },
      };
    }

    it("users see at once what they wrote, in whichever process, and nobody else does", async () => {
      await using both = await openBoth();
      const [user, stranger] = [new TokenHolder(both.door), new TokenHolder(both.door)];
      await group.caughtUp();
      holdReplicas(group);
      for (const how of ["awaited", "unawaited", "ambient", "refused"]) {
        const key = `key-${keys++}`;
        const { status } = await user.ask({
          method: "POST",
          query: `key=${key}&how=${how}&set=${how}`,
          body: "a",
        });
        expect(status).toBe(how === "refused" ? 409 : 201);
        for (let n = 0; n < 2; n += 1) expect((await user.ask({ query: `key=${key}` })).body).toBe(how);
        expect((await user.ask({ query: `key=${key}&at=eventual` })).body).toBe("null");
        expect((await stranger.ask({ query: `key=${key}` })).body).toBe("null");
      }
    });

    it("of writes at once, whose answers arrive in any order, none is missed", async () => {
      await using both = await openBoth();
      const user = new TokenHolder(both.door);
      await group.caughtUp();
      holdReplicas(group);
      const names = Array.from({ length: 6 }, () => `key-${keys++}`);
      const sent = await Promise.all(
        names.map((key) => user.send({ method: "POST", query: `key=${key}&set=${key}`, body: "a" })),
      );
      for (const [at] of names.entries()) {
        sent[(at * 5 + 2) % names.length]?.keep();
        const key = names[(at * 5 + 2) % names.length];
        expect((await user.ask({ query: `key=${key}` })).body).toBe(key);
      }
      const seen = await Promise.all(
        names.map(async (key) => (await user.ask({ query: `key=${key}` })).body),
      );
      expect(seen).toEqual(names);
    });
  });
});

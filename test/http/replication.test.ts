/** Users of every framework on real servers whose replicas lag; each carrier brings the token. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cookie } from "../../src/http/carriers/cookie.js";
import { header } from "../../src/http/carriers/header.js";
import type { Tidemark } from "../../src/index.js";
import { type Door, doors } from "../support/http/door.js";
import { Refusal, type Scene, type Turn } from "../support/http/framework-app.js";
import { TokenHolder } from "../support/http/token-holder.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

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

/** By each of the processes. */
async function isReplicaAsked(user: TokenHolder): Promise<boolean> {
  using routes = listenToRoutes();
  for (const _process of [here, there]) await user.ask({ query: "key=nothing" });
  return routes.of("get").every((route) => route.startsWith("replica:"));
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

    it("users immediately see their own writes in every process, while strangers still get older data", async () => {
      await using both = await openBoth();
      const stranger = new TokenHolder(both.door);
      await group.caughtUp();
      holdReplicas(group);
      for (const how of ["awaited", "unawaited", "ambient", "refused"]) {
        // One who has written before would be sent to the primary for that, whatever becomes of this write.
        const user = new TokenHolder(both.door);
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

    it("no concurrent write is missed, in any order of answers", async () => {
      await using both = await openBoth();
      const [user, witness] = [new TokenHolder(both.door), new TokenHolder(both.door)];
      const write = (holder: TokenHolder) => {
        const key = `key-${keys++}`;
        const sent = holder.send({ method: "POST", query: `key=${key}&set=${key}`, body: "a" });
        return sent.then(({ keep }) => ({ key, keep }));
      };
      const early = await Promise.all([write(user), write(user), write(user)]);
      (await write(witness)).keep();
      await waitUntil(() => isReplicaAsked(witness), { what: "a replica has the early write" });
      holdReplicas(group);
      const late = await Promise.all([write(user), write(user), write(user)]);
      // The tokens that arrive last would do with a replica that lacks what is told of by those before.
      for (const { key, keep } of [...early.slice(2), ...late.reverse(), ...early.slice(0, 2)]) {
        keep();
        expect((await user.ask({ query: `key=${key}` })).body).toBe(key);
      }
      for (const { key } of late) expect((await user.ask({ query: `key=${key}` })).body).toBe(key);
    });
  });
});

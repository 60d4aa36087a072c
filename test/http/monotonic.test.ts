import { describe, expect, it } from "vitest";
import { cookie } from "../../src/http/carriers/cookie.js";
import { header } from "../../src/http/carriers/header.js";
import { doors } from "../support/http/door.js";
import type { Scene } from "../support/http/framework-app.js";
import { TokenHolder } from "../support/http/token-holder.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { inTurn, stageTornReplicas } from "../support/stages/torn-replicas.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageTornReplicas();

/** Reads the key that `?key=` names, at the level `?at=eventual` if that is given. */
const notes = (given: Pick<Scene, "carrier" | "monotonicReads">): Scene => ({
  ...given,
  handler: async ({ session, query }) => {
    const client = query.get("at") === "eventual" ? session.at("eventual") : session.redis;
    return { body: String(await client.get(query.get("key") ?? "")), cacheControl: "public, max-age=60" };
  },
});

const carriers = { cookie: cookie(), header: header(), "both at once": [cookie(), header()] };

describe.each(Object.entries(doors))("on %s", (_name, open) => {
  describe.each(Object.entries(carriers))("by %s", (_carrier, carrier) => {
    it.each([
      ["sees the data in the next, with monotonicReads", true, "new"],
      ["may see older data in the next, without monotonicReads", false, "old"],
    ])("a user who has read newer data in one process %s", async (_what, monotonicReads, expected) => {
      const scene = notes({ carrier, monotonicReads });
      await using both = inTurn(await open(stage.here, scene), await open(stage.there, scene));
      const user = new TokenHolder(both);
      const key = await stage.torn();
      expect((await user.ask({ query: `key=${key}` })).body).toBe("new");
      expect((await user.ask({ query: `key=${key}` })).body).toBe(expected);
      await user.ask({ query: `key=${key}` });
      expect((await user.ask({ query: `key=${key}&at=eventual` })).body).toBe("old");
    });
  });

  it("a response carries a token, and is private, only when its reads are newer than the request's token", async () => {
    const carrier = [cookie(), header()];
    await using door = await open(stage.here, notes({ carrier, monotonicReads: true }));
    const user = new TokenHolder(door);
    const key = await stage.torn();
    const ask = async (query = `key=${key}`) => {
      const { headers } = await user.ask({ query });
      const { "cache-control": caching, "set-cookie": set, "consistency-token": token } = headers;
      return [caching, set !== undefined, token !== undefined];
    };
    const [isPrivate, isPublic] = [
      ["private, max-age=60", true, true],
      ["public, max-age=60", false, false],
    ];
    expect(await ask(`key=${key}&at=eventual`)).toEqual(isPublic);
    expect([await ask(), await ask(), await ask()]).toEqual([isPrivate, isPublic, isPublic]);
    await stage.group.primary.admin().set("another", "newer");
    await waitUntil(async () => (await stage.group.replicas[0]?.server.admin().get("another")) === "newer", {
      what: "the replica has the newer value",
    });
    expect([await ask(), await ask()]).toEqual([isPrivate, isPublic]);
    await stage.group.primary.admin().del("another");
  });

  it("a response without a write carries no token without monotonicReads", async () => {
    await using door = await open(stage.here, notes({ carrier: [cookie(), header()] }));
    const { headers } = await door.ask({ query: `key=${await stage.torn()}` });
    expect(headers).toMatchObject({ "cache-control": "public, max-age=60" });
    expect(headers).not.toHaveProperty("set-cookie");
    expect(headers).not.toHaveProperty("consistency-token");
  });
});

describe("when a response cannot determine the position of its reads", () => {
  const staged = stageGroup({ replicas: 2 });

  it("it is sent within seconds, and its user reads from the primary", async () => {
    const { primary, replicas } = staged.group;
    const [ahead, behind] = replicas;
    if (ahead === undefined || behind === undefined) throw new Error("there are two");
    const scene = notes({ monotonicReads: true });
    const open = (replica: typeof ahead) => staged.open({ replicas: [replica.server.url] });
    const [first, second] = [await open(ahead), await open(behind)];
    await primary.admin().set("k", "old");
    await staged.group.caughtUp();
    await Promise.all([replicasAreEligible(first), replicasAreEligible(second)]);
    behind.link.hold();
    await primary.admin().set("k", "new");
    await waitUntil(async () => (await ahead.server.admin().get("k")) === "new", {
      what: "one replica has the new value",
    });
    const openExpress = doors["Express 5"];
    if (openExpress === undefined) throw new Error("there is no such door");
    await using both = inTurn(
      await openExpress(first, {
        ...scene,
        handler: async ({ session }) => {
          const body = String(await session.redis.get("k"));
          primary.pause();
          await ahead.server.kill();
          await waitUntil(() => first.topology()[1]?.position === undefined, {
            what: "the replica has no known position",
          });
          return { body };
        },
      }),
      await openExpress(second, scene),
    );
    const user = new TokenHolder(both);
    try {
      expect((await user.ask({})).body).toBe("new");
    } finally {
      primary.resume();
    }
    expect((await user.ask({ query: "key=k" })).body).toBe("new");
  });
});

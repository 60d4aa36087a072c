/** Tokens that require more than the primary has, where replicas have to answer because `fallback` is "error". */
import { describe, expect, it } from "vitest";
import { type Consistency, ReplicasBehindError, type Session, type Tidemark } from "../../src/index.js";
import { encodeToken, type TokenClaims } from "../../src/session/token.js";
import { Browser } from "../support/http/browser.js";
import { listening } from "../support/http/door.js";
import type { Scene } from "../support/http/framework-app.js";
import type { Routes } from "../support/listeners/routes.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let routes: Routes;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ group, routes } = stage);
});

async function openStrict(options: GroupOptions = {}): Promise<Tidemark> {
  const tidemark = openTidemark(group, { fallback: "error", ...options });
  await replicasAreEligible(tidemark);
  routes.clear();
  return tidemark;
}

async function primaryPosition(): Promise<{ replid: string; offset: number }> {
  const { master_replid, master_repl_offset } = await group.primary.info("replication");
  return { replid: master_replid?.slice(0, 16) ?? "", offset: Number(master_repl_offset) };
}

async function replicaOffset(): Promise<number> {
  const { slave_repl_offset } = (await group.replicas[0]?.server.info("replication")) ?? {};
  return Number(slave_repl_offset);
}

function tokenOf(claims: Partial<TokenClaims>): string {
  return encodeToken({ issuedAt: Date.now(), positions: [], pinnedAt: 0, freshAsOf: 0, ...claims });
}

/** A token whose position was rounded up to one that the primary has yet to reach. */
async function roundedUp(): Promise<string> {
  const { replid, offset } = await primaryPosition();
  return tokenOf({ positions: [{ replid, offset: offset + 1_000_000, read: true }] });
}

/** The value, or the error that the read was refused with. */
async function answerOf(session: Session, key: string): Promise<string | null | ReplicasBehindError> {
  try {
    return await session.redis.get(key);
  } catch (error) {
    if (error instanceof ReplicasBehindError) return error;
    throw error;
  }
}

/** `?set=text` writes, all else reads, and says why a read is refused. */
const notes: Scene = {
  handler: async ({ session, query }) => {
    const text = query.get("set");
    if (text !== null) {
      await session.redis.set("note", text);
      return { body: "written" };
    }
    const answer = await answerOf(session, "note");
    if (!(answer instanceof ReplicasBehindError)) return { body: String(answer) };
    return { status: 503, body: String(answer.behindBytes) };
  },
};

describe("on Express, after a burst of responses to one client that sends no cookies", () => {
  interface User extends AsyncDisposable {
    /** Reads with the cookie of the last response. */
    ask(): Promise<[number, string]>;
    /** Writes without any cookie, and gives the name of the cookie that comes. */
    write(text: string): Promise<string>;
  }

  /** Behind it the position of the last cookie was rounded up, beyond that of the primary. */
  async function burst(tidemark: Tidemark): Promise<User> {
    const open = listening["Express 5"];
    if (open === undefined) throw new Error("there is no Express 5");
    const door = await open(tidemark, notes);
    let browser = new Browser([door]);
    const write = async (text: string): Promise<string> => {
      browser = new Browser([door]);
      await browser.ask({ query: `set=${text}` });
      return browser.names.join();
    };
    for (let n = 0; n <= 20; n++) await write(`${n}`);
    return {
      write,
      ask: async () => {
        const { status, body } = await browser.ask();
        return [status, body];
      },
      [Symbol.asyncDispose]: () => door[Symbol.asyncDispose](),
    };
  }

  /** Resolves when a read is answered, which has to be with `text`; one may be refused while replicas were not asked again. */
  async function reads(user: User, text: string): Promise<void> {
    const isAnswered = async (): Promise<boolean> => {
      const [status, body] = await user.ask();
      if (status === 200) expect(body).toBe(text);
      return status === 200;
    };
    await waitUntil(isAnswered, { what: "a replica answers" });
  }

  it("the replica answers a read with the last cookie once it has caught up, even without further writes", async () => {
    await using tidemark = await openStrict();
    await using user = await burst(tidemark);
    await group.caughtUp();
    routes.clear();
    await reads(user, "20");
    expect(routes.of("get").every((route) => route.startsWith("replica:"))).toBe(true);
  });

  it("a read with the last cookie is refused while the replica is behind, and the error says by how many bytes", async () => {
    await using tidemark = await openStrict();
    holdReplicas(group);
    await using user = await burst(tidemark);
    routes.clear();
    const isExact = async (): Promise<boolean> => {
      const [status, body] = await user.ask();
      expect(status).toBe(503);
      return Number(body) === (await primaryPosition()).offset - (await replicaOffset());
    };
    // Now and then the primary writes something by itself between the read and our look.
    await waitUntil(isExact, { what: "the error and INFO agree" });
    expect(routes.of("get").filter((route) => route.startsWith("primary:"))).toEqual([]);
    await releaseReplicas(group);
    await reads(user, "20");
  });

  it("a later write with the same cookie is not missed because of older knowledge about that cookie", async () => {
    await using tidemark = await openStrict();
    await using user = await burst(tidemark);
    let written = 0;
    const isSameCookie = async (): Promise<boolean> => {
      const before = await user.write(`first ${++written}`);
      await group.caughtUp();
      await reads(user, `first ${written}`);
      holdReplicas(group);
      const isSame = (await user.write(`second ${written}`)) === before;
      expect((await user.ask())[0]).toBe(503);
      await releaseReplicas(group);
      await reads(user, `second ${written}`);
      return isSame;
    };
    await waitUntil(isSameCookie, { what: "two writes have produced the same cookie" });
  });
});

describe("a replica with all data of the primary answers a read", () => {
  const atOnce: Readonly<Record<string, () => Promise<{ token: string; level?: Consistency }>>> = {
    "whose token was rounded up": async () => ({ token: await roundedUp() }),
    "whose token was rounded up, with a bound": async () => ({
      token: await roundedUp(),
      level: { maxStalenessMs: 1_000 },
    }),
    "whose token was rounded up, with waitMs": async () => ({
      token: await roundedUp(),
      level: { level: "session", waitMs: 20_000 },
    }),
    "whose token has a position of an ended history": async () => ({
      token: tokenOf({ positions: [{ replid: "0123456789abcdef", offset: 77 }] }),
    }),
    "whose token requires a moment in the future": async () => ({
      token: tokenOf({ freshAsOf: Date.now() + 30_000 }),
    }),
  };

  it.each(Object.entries(atOnce))("%s", async (_name, given) => {
    await using tidemark = await openStrict();
    await group.primary.admin().set("k", "v");
    await group.caughtUp();
    expect(await answerOf(tidemark.session(await given()), "k")).toBe("v");
    expect(routes.of("get").at(-1)).toMatch(/^replica:/);
    expect(routes.of("get").filter((route) => route.startsWith("primary:"))).toEqual([]);
  });

  it("that follows a read from the primary", async () => {
    await using tidemark = await openStrict();
    const { redis } = tidemark.session();
    await redis.at("strong").get("k");
    expect(await redis.get("k")).toBeNull();
    expect(routes.of("get")).toEqual(["primary:strong", expect.stringMatching(/^replica:/)]);
  });

  it("with a bound shorter than the time since the last probe", async () => {
    await using tidemark = await openStrict();
    const session = tidemark.session({ level: { maxStalenessMs: 100 } });
    const idleSince = performance.now();
    await waitUntil(() => performance.now() - idleSince > 400, { what: "no server was asked for 400 ms" });
    expect(await answerOf(session, "k")).toBeNull();
    expect(routes.of("get").at(-1)).toMatch(/^replica:/);
  });

  it("that waits, without any write by other sessions", async () => {
    await using tidemark = await openStrict({ fallback: "primary", waitMs: 20_000 });
    holdReplicas(group);
    await group.primary.admin().set("k", "v");
    const reading = answerOf(tidemark.session({ token: await roundedUp() }), "k");
    await releaseReplicas(group);
    expect(await reading).toBe("v");
    expect(routes.of("get").at(-1)).toMatch(/^replica:/);
  });
});

describe("a token that was rounded up", () => {
  it("is not satisfied by a replica that lacks data the primary had when the token arrived", async () => {
    await using tidemark = await openStrict();
    holdReplicas(group);
    await group.primary.admin().set("k", "v");
    expect(await answerOf(tidemark.session({ token: await roundedUp() }), "k")).toBeInstanceOf(
      ReplicasBehindError,
    );
    expect(await answerOf(tidemark.session({ token: await roundedUp() }), "k")).toBeInstanceOf(
      ReplicasBehindError,
    );
  });

  it("does not cover later writes of the session itself", async () => {
    await using tidemark = await openStrict();
    const session = tidemark.session({ token: await roundedUp() });
    expect(await answerOf(session, "k")).toBeNull();
    holdReplicas(group);
    await session.redis.set("k", "v");
    expect(await answerOf(session, "k")).toBeInstanceOf(ReplicasBehindError);
  });

  it("is refused without a number of bytes while the primary is silent", async () => {
    const toPrimary = await TcpProxy.start({ targetPort: group.primary.port });
    const { host, port } = toPrimary;
    try {
      await using tidemark = await openStrict({ primary: { host, port } });
      const token = await roundedUp();
      toPrimary.stall();
      const refused = await answerOf(tidemark.session({ token }), "k");
      toPrimary.unstall();
      expect(refused).toMatchObject({ behindBytes: undefined, retryAfterMs: undefined });
    } finally {
      await toPrimary.stop();
    }
  });
});

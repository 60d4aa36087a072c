/** The behaviour that all frameworks share, with sessions that need no Redis. */
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Consistency } from "../../../src/consistency/read-policy.js";
import type { LateWriteMessage } from "../../../src/diagnostics/channels.js";
import { lateWriteChannel } from "../../../src/diagnostics/channels.js";
import { Keyring } from "../../../src/http/keyring.js";
import type { Session } from "../../../src/session/session.js";
import { decodeToken } from "../../../src/session/token.js";
import { type Answered, doors } from "../../support/http/door.js";
import { type Choice, chunks, type Reply, refuse, secret } from "../../support/http/framework-app.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";
import { waitUntil } from "../../support/wait-until.js";

interface Answering {
  readonly what: string;
  readonly reply: () => Reply;
  readonly arrives: Partial<Answered>;
  readonly method?: "POST" | "HEAD";
}

/** Every way to answer, with what arrives of it. */
const answers: readonly Answering[] = [
  { what: "a text", reply: () => ({ body: "a body" }), arrives: { status: 200, body: "a body" } },
  {
    what: "a stream",
    reply: () => ({ chunks: chunks("a ", "body") }),
    arrives: { status: 200, body: "a body" },
  },
  {
    what: "201",
    reply: () => ({ status: 201, body: "made" }),
    arrives: { status: 201, body: "made" },
    method: "POST",
  },
  { what: "HEAD", reply: () => ({ body: "a body" }), arrives: { status: 200, body: "" }, method: "HEAD" },
  { what: "a redirect", reply: () => ({ redirect: "/login" }), arrives: { status: 302 } },
  { what: "204", reply: () => ({ status: 204 }), arrives: { status: 204, body: "" } },
  { what: "304", reply: () => ({ status: 304 }), arrives: { status: 304, body: "" } },
  { what: "an error of the client's", reply: () => refuse(409), arrives: { status: 409 } },
  { what: "an error of the server's", reply: () => refuse(500), arrives: { status: 500 } },
];

function cookiesOf({ headers }: Answered): string[] {
  return (headers["set-cookie"] ?? [])
    .flatMap((line) => line.split(";", 1))
    .filter((pair) => !pair.endsWith("="));
}

/** The offset that the token of an answer requires. */
function offsetOf(answered: Answered): number | undefined {
  const [sealed = ""] = cookiesOf(answered).map((pair) => pair.slice(pair.indexOf("=") + 1));
  const opened = new Keyring(secret).open(sealed);
  return opened && decodeToken(opened.token)?.positions[0]?.offset;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(Object.entries(doors))("on %s", (_name, open) => {
  const wishes = [{ level: "session", withinMs: 5 }, { level: "strong" }] as const;
  const ofMethod: Choice = ({ method }) => (method === "POST" ? "strong" : "eventual");

  it.each<[what: string, levels: Record<string, Choice>, get: Consistency, post: Consistency]>([
    ["no marker", {}, "session", "session"],
    ["the app's", { app: "eventual" }, "eventual", "eventual"],
    [
      "the scope's over the app's",
      { app: "eventual", scope: { maxStalenessMs: 5 } },
      { maxStalenessMs: 5 },
      { maxStalenessMs: 5 },
    ],
    ["the route's over both", { app: "eventual", scope: "eventual", route: "strong" }, "strong", "strong"],
    ["a function of the app", { app: ofMethod }, "eventual", "strong"],
    ["a function of the scope", { app: "session", scope: ofMethod }, "eventual", "strong"],
    ["a function of the route", { scope: "session", route: ofMethod }, "eventual", "strong"],
    [
      "options of the route beside the scope's level",
      { app: "eventual", scope: "strong", route: { confirmMisses: true } },
      { level: "strong", confirmMisses: true },
      { level: "strong", confirmMisses: true },
    ],
    [
      "options of all three",
      { app: { waitMs: 5 }, scope: { fallback: "error" }, route: { waitMs: 7 } },
      { level: "session", waitMs: 7, fallback: "error" },
      { level: "session", waitMs: 7, fallback: "error" },
    ],
    [
      "options of a function of the route beside the scope's level",
      { scope: "eventual", route: ({ method }) => ({ confirmMisses: method === "POST" }) },
      { level: "eventual", confirmMisses: false },
      { level: "eventual", confirmMisses: true },
    ],
    ["a list of the app", { app: wishes }, wishes, wishes],
    [
      "a list of a function of the scope, and the route's options for each of it",
      { scope: () => wishes, route: { waitMs: 7 } },
      wishes.map((wish) => ({ ...wish, waitMs: 7 })),
      wishes.map((wish) => ({ ...wish, waitMs: 7 })),
    ],
  ])("the innermost level applies: %s", async (_what, levels, get, post) => {
    await using door = await open(new HandMadeSessions(), {
      levels,
      handler: ({ session }) => ({ body: JSON.stringify(session.level) }),
    });
    expect(JSON.parse((await door.ask()).body)).toEqual(get);
    expect(JSON.parse((await door.ask({ method: "POST", body: "a" })).body)).toEqual(post);
  });

  it.each(answers)(
    "the headers wait for the write and carry its token: $what",
    async ({ reply, arrives, method }) => {
      const sessions = new HandMadeSessions();
      let written: Session | undefined;
      await using door = await open(sessions, {
        handler: async ({ session, query }) => {
          if (query.has("other")) return { body: "other" };
          written = session;
          startWrite(session);
          await turn();
          return reply();
        },
      });
      let hasCome = false;
      const answering = door.ask({ method, body: method === "POST" ? "a" : undefined }).finally(() => {
        hasCome = true;
      });
      await waitUntil(() => written !== undefined, { what: "the handler has been called" });
      // By then a head that is not held has come, too.
      for (let n = 0; n < 3; n += 1) await door.ask({ query: "other" });
      expect(hasCome).toBe(false);
      if (written !== undefined) endWrite(written, 7);
      const answered = await answering;
      expect(answered).toMatchObject(arrives);
      expect(offsetOf(answered)).toBe(7);
    },
  );

  it("an answer without a write carries no token", async () => {
    await using door = await open(new HandMadeSessions(), { handler: () => ({ body: "a body" }) });
    expect((await door.ask()).headers).not.toHaveProperty("set-cookie");
  });

  it("the session is current in the handler, after the body was read, and in error handlers", async () => {
    const sessions = new HandMadeSessions();
    const seen: boolean[] = [];
    const see = ({ session }: { session: Session }) => seen.push(sessions.current === session);
    await using door = await open(sessions, {
      handler: async (current) => {
        see(current);
        await current.body();
        see(current);
        return refuse(409);
      },
      failed: (current) => void see(current),
    });
    await door.ask({ method: "POST", body: "a body" });
    expect(seen).toEqual([true, true, true]);
  });

  it("the token covers a write of the error handler", async () => {
    await using door = await open(new HandMadeSessions(), {
      handler: () => refuse(500),
      failed: ({ session }) => {
        startWrite(session);
        setImmediate(() => endWrite(session, 9));
      },
    });
    const answered = await door.ask();
    expect([answered.status, offsetOf(answered)]).toEqual([500, 9]);
  });

  it("concurrent requests each get their own token, whichever write ends first", async () => {
    const written = new Map<number, Session>();
    await using door = await open(new HandMadeSessions(), {
      handler: async ({ session, query, body }) => {
        const offset = Number(query.get("offset"));
        startWrite(session);
        await body();
        written.set(offset, session);
        return { body: String(offset) };
      },
    });
    const offsets = Array.from({ length: 12 }, (_, at) => at + 1);
    const answering = offsets.map((offset) =>
      // Each by a user of its own, or some would share what is rounded.
      door.ask({
        method: "POST",
        query: `offset=${offset}`,
        body: "a",
        headers: { Cookie: `user=${offset}` },
      }),
    );
    await waitUntil(() => written.size === offsets.length, { what: "all handlers have been called" });
    for (const offset of [...offsets].sort((a, b) => ((a * 5) % 13) - ((b * 5) % 13))) {
      const session = written.get(offset);
      if (session !== undefined) endWrite(session, offset);
      await turn();
    }
    const answered = await Promise.all(answering);
    expect(answered.map((one) => [Number(one.body), offsetOf(one)])).toEqual(
      offsets.map((one) => [one, one]),
    );
  });

  it("a request requires everything in its tokens, and invalid tokens change nothing", async () => {
    await using door = await open(new HandMadeSessions(), {
      handler: ({ session, query }) => {
        const offset = Number(query.get("offset") ?? 0);
        if (offset > 0) {
          startWrite(session);
          endWrite(session, offset);
        }
        return { body: String(session.positions[0]?.offset) };
      },
    });
    const set = await Promise.all([3, 8, 5].map((offset) => door.ask({ query: `offset=${offset}` })));
    const cookies = [...set.flatMap(cookiesOf), "tm_000000000000=forged", "tm_", "="];
    const { status, body } = await door.ask({ headers: { Cookie: cookies.join("; ") } });
    expect([status, body]).toEqual([200, "8"]);
  });

  it("a write after the first bytes is reported, and the whole body arrives", async () => {
    vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const late: LateWriteMessage[] = [];
    const listener = (message: unknown) => late.push(message as LateWriteMessage);
    lateWriteChannel.subscribe(listener);
    let written: Session | undefined;
    await using door = await open(new HandMadeSessions(), {
      handler: ({ session }) => {
        written = session;
        startWrite(session);
        endWrite(session, 3);
        return { chunks: writing(session) };
      },
    });
    const answered = await door.ask();
    lateWriteChannel.unsubscribe(listener);
    expect([answered.body, offsetOf(answered)]).toEqual(["first second", 3]);
    expect(late).toEqual([{ tidemark: expect.any(Object), session: written, route: "GET /" }]);
  });
});

/** Writes when its first part has been taken. */
async function* writing(session: Session): AsyncGenerator<string> {
  yield "first ";
  startWrite(session);
  endWrite(session, 9);
  yield "second";
}

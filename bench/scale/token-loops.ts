/** A process that opens and seals tokens, as requests and their responses do. */
import { createHmac } from "node:crypto";
import { type Session, Tidemark } from "tidemark";
import { header, requestSessions } from "tidemark/http";
import { answer } from "../report/worker.js";

export type TokenTask = "hmac" | "plain request" | "unsigned" | "sealed" | "sealed before" | "seal";

/** The first begins it on that server, all others say what to do how often. */
export type TokenQuestion =
  | { readonly url: string; readonly users: number }
  | { readonly task: TokenTask; readonly count: number };

const secret = "a secret of at least 32 characters, for a bench";
const older = "the secret that tokens were sealed with before";
let tasks: Readonly<Record<TokenTask, (user: number) => unknown>>;

/** µs of CPU for one, of all of the process's threads. */
answer(async (question: TokenQuestion): Promise<number> => {
  if ("url" in question) {
    tasks = await open(question.url, question.users);
    return Number.NaN;
  }
  const { task, count } = question;
  const run = tasks[task];
  const cpuBefore = process.cpuUsage();
  for (let i = 0; i < count; i++) run(i);
  const { user, system } = process.cpuUsage(cpuBefore);
  return (user + system) / count;
});

async function open(url: string, users: number): Promise<typeof tasks> {
  const tidemark = new Tidemark({ primary: url });
  await tidemark.ready();
  const carrier = header();
  const opened = requestSessions(tidemark, { secret: [secret, older], carrier });
  const openedBefore = requestSessions(tidemark, { secret: older, carrier });
  const [newest, before]: [Session[], Session[]] = [[], []];
  // One after the other, because writes of one turn would have one token.
  for (let user = 0; user < users; user++) {
    for (const [sessions, sessionOf] of [
      [newest, opened],
      [before, openedBefore],
    ] as const) {
      const { session } = sessionOf({ headers: {} });
      await session.redis.set("key", user);
      sessions.push(session);
    }
  }
  const unsigned = newest.map((session) => session.token());
  const bytes = unsigned.map((token) => Buffer.from(token, "base64url"));
  const sealed = newest.map((session) => session.sealed());
  const sealedBefore = before.map((session) => session.sealed());
  if (new Set([...sealed, ...sealedBefore]).size !== 2 * users) throw new Error("two users have one token");
  const requestWith = (text: string | undefined): Session =>
    opened({ headers: text === undefined ? {} : { "consistency-token": text } }).session;
  return {
    hmac: (user) => createHmac("sha256", secret).update(of(bytes, user)).digest(),
    "plain request": () => requires(0, requestWith(undefined)),
    unsigned: (user) => requires(1, tidemark.session({ token: of(unsigned, user) })),
    sealed: (user) => requires(1, requestWith(of(sealed, user))),
    "sealed before": (user) => requires(1, requestWith(of(sealedBefore, user))),
    seal: (user) => of(newest, user).sealed(),
  };
}

function requires(count: number, session: Session): void {
  // The types hide it from apps. `token()` would add the time of writing a token.
  const positions: unknown = Reflect.get(session, "positions");
  if (!Array.isArray(positions) || positions.length !== count)
    throw new Error(`the session does not require ${count} positions`);
}

function of<Item>(items: readonly Item[], user: number): Item {
  const item = items[user % items.length];
  if (item === undefined) throw new Error(`nothing for user ${user}`);
  return item;
}

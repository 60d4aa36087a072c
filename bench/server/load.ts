/** A process in which users take turns: each reads their own keys, and writes them now and then. */
import { Redis } from "ioredis";
import { Tidemark } from "tidemark";
import { answer } from "../report/worker.js";

export type Policy = "primary" | "primary with INFO" | "tidemark";

export type LoadQuestion =
  | { readonly policy: Policy; readonly primary: string; readonly replicas: readonly string[] }
  | { readonly inFlight: number; readonly count: number; readonly writeShare: number };

const users = 200;

type Opening = Extract<LoadQuestion, { policy: Policy }>;

interface Client {
  read(user: number): Promise<string | null>;
  write(user: number, value: string): Promise<unknown>;
}

let client: Client;
const written = Array.from({ length: users }, () => "0");
let next = 0;

answer(async (question: LoadQuestion): Promise<void> => {
  if ("policy" in question) {
    client = await open(question);
    for (let user = 0; user < users; user++) await client.write(user, written[user] ?? "");
    return;
  }
  const { inFlight, count, writeShare } = question;
  let left = count;
  const work = async (first: number): Promise<void> => {
    // A user does one thing after the other, so each of those in flight has users of its own.
    for (let user = first; left-- > 0; user = (user + inFlight) % (users - (users % inFlight))) {
      next += 1;
      if (Math.floor(next * writeShare) > Math.floor((next - 1) * writeShare)) {
        written[user] = String(next);
        await client.write(user, String(next));
      } else {
        const value = await client.read(user);
        if (value !== written[user])
          throw new Error(`user ${user} read ${value} after writing ${written[user]}`);
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, (_, first) => work(first)));
});

async function open(question: Opening): Promise<Client> {
  const { policy, primary } = question;
  if (policy === "tidemark") return await openTidemark(question);
  const redis = new Redis(primary);
  const write =
    policy === "primary"
      ? (user: number, value: string) => redis.set(`${policy}:${user}`, value)
      : (user: number, value: string) =>
          Promise.all([redis.set(`${policy}:${user}`, value), redis.info("replication")]);
  return { read: (user) => redis.get(`${policy}:${user}`), write };
}

/** Every operation is a session of its own that is made from what its user brings, as requests are. */
async function openTidemark({ policy, primary, replicas }: Opening): Promise<Client> {
  const tidemark = new Tidemark({ primary, replicas });
  await tidemark.ready();
  const tokens = Array.from({ length: users }, () => "");
  return {
    read: (user) => tidemark.session({ token: tokens[user] ?? "" }).redis.get(`${policy}:${user}`),
    async write(user, value) {
      const session = tidemark.session({ token: tokens[user] ?? "" });
      await session.redis.set(`${policy}:${user}`, value);
      tokens[user] = session.token();
    },
  };
}

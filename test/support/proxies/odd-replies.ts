/**
 * An app whose servers send what no Redis server sends. Its argument names a scene; it prints a line for each case, and ends
 * by itself. An error that nobody catches ends it with another code.
 */
import type { Redis } from "ioredis";
import { Tidemark, type TidemarkOptions } from "../../../src/index.js";
import { FakeServer, Raw } from "../servers/fake-server.js";
import { sound } from "../servers/sound-replies.js";
import { waitUntil } from "../wait-until.js";

const answers: Readonly<Record<string, string>> = {
  null: "$-1\r\n",
  "a null array": "*-1\r\n",
  "an empty array": "*0\r\n",
  "an array of null": "*1\r\n$-1\r\n",
  "an integer": ":1\r\n",
  "a text": "+a\r\n",
  "an empty text": "$0\r\n\r\n",
  "no channel": "*1\r\n$9\r\nsubscribe\r\n",
  "a channel of null": "*3\r\n$9\r\nsubscribe\r\n$-1\r\n:1\r\n",
  "another kind": "*3\r\n$12\r\npunsubscribe\r\n$-1\r\n*0\r\n",
  "an endless array": "*4294967296\r\n",
  "no Redis": "HTTP/1.1 400 Bad Request\r\n\r\n",
};

const unasked: Readonly<Record<string, string>> = {
  ...answers,
  "a message": "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nv\r\n",
  "an error": "-ERR nonsense\r\n",
  "a push of null": ">1\r\n_\r\n",
  "half a push of null": ">1\r\n_",
  "an empty push": ">0\r\n",
  "a push of a number": ">2\r\n:1\r\n:2\r\n",
  "a push without a channel": ">1\r\n$9\r\nsubscribe\r\n",
  "a message of null": ">3\r\n$7\r\nmessage\r\n_\r\n_\r\n",
  "a pattern of null": ">4\r\n$8\r\npmessage\r\n_\r\n_\r\n_\r\n",
  "a null of RESP3": "_\r\n",
  "a map": "%1\r\n_\r\n_\r\n",
  "a long string": "$99999999999\r\n",
  "large arrays in each other": "*16000000\r\n".repeat(20),
  "a deep array": "*1\r\n".repeat(20_000),
  "a negative length": "*-7\r\n",
  "no length": "$x\r\n",
};

/** One server, the Tidemarks on it, and what else ends with them. */
class Case {
  readonly #owed: { stop(): Promise<void> }[] = [];

  owe(started: { stop(): Promise<void> }): void {
    this.#owed.push(started);
  }

  /** A server that is well, but for what `odd` gives. */
  async serve(odd: (name: string) => string | undefined): Promise<FakeServer> {
    const server: FakeServer = await FakeServer.start((name, args) => {
      const bytes = odd(name);
      if (bytes !== undefined) return new Raw(bytes);
      // ioredis 6 has pushes for confirmations over RESP3, and takes the form of RESP2 too.
      if (name.endsWith("subscribe")) return [name, args[0] ?? "", 1];
      return sound(() => server.port, name, args);
    });
    this.owe(server);
    return server;
  }

  open(options: TidemarkOptions): Tidemark {
    const tidemark = new Tidemark({ primaryTimeoutMs: 15_000, ...options });
    this.owe({ stop: () => tidemark.close() });
    return tidemark;
  }

  async stop(): Promise<void> {
    for (const one of this.#owed.reverse()) await one.stop();
  }
}

type Protocol = 2 | 3;
type Play = (one: Case, what: string, bytes: string) => Promise<string>;

const protocols: readonly Protocol[] = process.env.PROTOCOLS === "2" ? [2] : [2, 3];

/** Plays a case with each of the replies, and gives what each case says. The cases mostly wait, so they run side by side. */
function playAll(replies: Readonly<Record<string, string>>, play: Play): Promise<string[]> {
  const played = Object.entries(replies).map(async ([what, bytes]) => {
    const one = new Case();
    const line = await play(one, what, bytes);
    await one.stop();
    return line;
  });
  return Promise.all(played);
}

function print(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}

/** Subscriptions that are answered with each of these, until the server behaves again. */
async function subscriptions(): Promise<void> {
  for (const protocol of protocols) {
    const lines = await playAll(answers, async (one, what, bytes) => {
      let oddLeft = 0;
      const server = await one.serve((name) =>
        name.endsWith("subscribe") && oddLeft-- > 0 ? bytes : undefined,
      );
      const tidemark = one.open({ primary: { host: server.host, port: server.port }, redis: { protocol } });
      await tidemark.ready();
      for (const method of ["subscribe", "psubscribe", "ssubscribe"] as const) {
        oddLeft = 1;
        const subscribed = tidemark.redis[method](method);
        if ((await tidemark.redis.get("k")) !== "v") throw new Error("no answer");
        await subscribed;
      }
      return `${protocol} ${what}`;
    });
    print(lines);
  }
}

/** Something that nobody has asked for, on every connection of a primary. */
async function unaskedReplies(): Promise<void> {
  for (const protocol of protocols) {
    const lines = await playAll(unasked, async (one, what, bytes) => {
      const server = await one.serve(() => undefined);
      const { host, port } = server;
      const tidemark = one.open({ primary: { host, port }, redis: { protocol } });
      await tidemark.redis.subscribe("c");
      const duplicate = tidemark.redis.duplicate();
      await duplicate.ping();
      const errors: string[] = [];
      // The other client has no listener for errors.
      const heard = tidemark.redis.duplicate({ host, port } as Partial<Redis["options"]>);
      heard.on("error", (error: Error) => errors.push(error.message));
      await heard.ping();
      server.send(bytes);
      // The other half is what answers this.
      const other = what.startsWith("half") ? heard.ping() : undefined;
      await waitUntil(() => errors.length > 0, { what: `an error after ${what}` });
      // Longer than the connections take to fail.
      await Promise.all([other, heard.ping(), duplicate.ping(), tidemark.redis.subscribe("d")]);
      if ((await tidemark.redis.get("k")) !== "v") throw new Error("no answer");
      for (const client of [duplicate, heard]) client.disconnect();
      return `${protocol} ${what} ${(errors[0] ?? "").replace(`${host}:${port}`, "<server>")}`;
    });
    print(lines);
  }
}

/** Sentinels that answer PSUBSCRIBE with each of these, and one that pushes. */
async function sentinels(): Promise<void> {
  const common = new Case();
  const primary = await common.serve(() => undefined);
  const lines = await playAll(answers, async (one, what, bytes) => {
    let oddLeft = 3;
    const server: FakeServer = await FakeServer.start((name, args) =>
      name === "psubscribe" && oddLeft-- > 0 ? new Raw(bytes) : sound(() => primary.port, name, args),
    );
    one.owe(server);
    // A command waits for the named primary however long a busy machine takes to connect to it.
    const redis = { updateSentinels: false, maxRetriesPerRequest: null };
    const tidemark = one.open({ sentinels: [{ host: server.host, port: server.port }], name: "one", redis });
    if ((await tidemark.redis.get("k")) !== "v") throw new Error("no answer");
    await waitUntil(() => oddLeft < 0, { what: `it subscribes again after ${what}` });
    const asked = (): number => server.received.filter(([name]) => name?.toLowerCase() === "sentinel").length;
    const before = asked();
    server.send(unasked["a push of null"] ?? "");
    await waitUntil(() => asked() > before, { what: `the Sentinel is asked again after ${what}` });
    const subscribed = server.received.filter(([name]) => name === "psubscribe").length;
    return `${what} ${subscribed <= 8 ? "a few times" : `${subscribed} times`}`;
  });
  print(lines);
  await common.stop();
}

/** Replies to what a connection begins with. */
async function handshakes(): Promise<void> {
  for (const protocol of protocols) {
    for (const command of ["info", "hello", "client", "select", "auth", "readonly", "ping"]) {
      await playAll(answers, async (one, what, bytes) => {
        let isOdd = true;
        const server = await one.serve((name) => (isOdd && name === command ? bytes : undefined));
        const tidemark = one.open({
          primary: { host: server.host, port: server.port, password: "hidden", db: 1 },
          redis: { protocol },
        });
        const duplicate = tidemark.redis.duplicate();
        const used = Promise.allSettled([tidemark.redis.get("k"), duplicate.ping()]);
        await waitUntil(() => server.received.length > 3, { what: `a handshake before ${what}` });
        isOdd = false;
        await used;
        const redis = tidemark.redis;
        await waitUntil(async () => (await redis.get("k")) === "v", {
          what: `an answer after ${command}: ${what}`,
        });
        duplicate.disconnect();
        return what;
      });
      print([`${protocol} ${command}`]);
    }
  }
}

/** A server that answers each renewal of a subscription with nonsense, until ioredis gives it up. */
async function renewals(): Promise<void> {
  const one = new Case();
  let isOdd = false;
  const server = await one.serve((name) => (isOdd && name === "subscribe" ? ":1\r\n" : undefined));
  const redis = { protocol: 2, maxRetriesPerRequest: 1 } as const;
  const tidemark = one.open({ primary: { host: server.host, port: server.port }, redis });
  const duplicate = tidemark.redis.duplicate();
  await duplicate.subscribe("c");
  isOdd = true;
  server.send("HTTP");
  const sent = (): number => server.received.filter(([name]) => name === "subscribe").length;
  await waitUntil(() => sent() >= 3, { what: "the subscription was renewed and rejected" });
  isOdd = false;
  await duplicate.subscribe("d");
  duplicate.disconnect();
  print(["renewed"]);
  await one.stop();
}

const scenes = { subscriptions, unaskedReplies, sentinels, handshakes, renewals };
const scene = Object.entries(scenes).find(([name]) => name === process.argv[2])?.[1];
if (scene === undefined) throw new Error(`no such scene: ${process.argv[2]}`);
await scene();

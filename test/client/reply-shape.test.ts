/** Every command, in every way to call it, returns the same as with ioredis. */
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Face, type Faces, openFaces } from "../support/commands/client-faces.js";
import { withoutLine } from "../support/commands/command-lines.js";
import { outcomeOf } from "../support/commands/outcome.js";
import { data, lookups, reads } from "../support/commands/read-lines.js";
import { changing, writes } from "../support/commands/write-lines.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let faces: Faces;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  faces = await openFaces(group);
});

afterAll(async () => {
  await faces?.[Symbol.asyncDispose]();
  await group?.stop();
});

type Way = (redis: Redis, name: string, args: readonly string[]) => unknown;

/** Calls a method by its name; a command that this ioredis does not know by name goes through `call`. */
function invoke(target: object, name: string, args: readonly unknown[], suffix = ""): unknown {
  const method = Reflect.get(target, `${name}${suffix}`);
  if (method === undefined) return Reflect.get(target, `call${suffix}`).call(target, name, ...args);
  return Reflect.apply(method, target, args);
}

const ways: Readonly<Record<string, Way>> = {
  "as a method": (redis, name, args) => invoke(redis, name, args),
  "as a method for Buffers": (redis, name, args) => invoke(redis, name, args, "Buffer"),
  "with a callback": (redis, name, args) =>
    new Promise((resolve, reject) => {
      const callback = (error: unknown, reply: unknown): void => (error ? reject(error) : resolve(reply));
      void invoke(redis, name, [...args, callback]);
    }),
  "through call": (redis, name, args) => redis.call(name.toUpperCase(), ...args),
  "through callBuffer, in Buffers": (redis, name, args) =>
    redis.callBuffer(name, ...args.map((arg) => Buffer.from(arg))),
  "in a pipeline": (redis, name, args) => redis.pipeline([[name, ...args]]).exec(),
  "in a pipeline for Buffers": (redis, name, args) => {
    const pipeline = redis.pipeline();
    invoke(pipeline, name, args, "Buffer");
    return pipeline.exec();
  },
  "in a transaction": (redis, name, args) => redis.multi([[name, ...args]]).exec(),
};

function fill(redis: Redis): Promise<unknown> {
  return redis.pipeline(data.map((line) => line.split(" "))).exec();
}

/** The outcomes of a face for the lines, one after the other. */
async function run(face: Face, way: Way, lines: readonly string[]): Promise<Record<string, unknown>> {
  const outcomes: Record<string, unknown> = {};
  for (const line of lines) {
    const [name = "", ...args] = line.split(" ");
    outcomes[line] = await outcomeOf(() => face((redis) => way(redis, name, args)));
  }
  return outcomes;
}

/** A reply without its values, which differ from one moment to the next. */
function shapeOf(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return "Buffer";
  if (Array.isArray(value)) return [...new Set(value.map((one) => JSON.stringify(shapeOf(one))))].sort();
  if (typeof value !== "object" || value === null) return value === null ? "null" : typeof value;
  return Object.fromEntries(Object.entries(value).map(([field, one]) => [field, shapeOf(one)]));
}

/** Has every face do the same, each in its own database, and expects of ours what ioredis itself brought. */
async function expectAlike(what: (face: Face) => Promise<unknown>): Promise<void> {
  const [expected, ...actual] = await Promise.all(
    [faces.plain, ...faces.ours.map(([, face]) => face)].map(what),
  );
  for (const [index, [name]] of faces.ours.entries()) expect(actual[index], name).toStrictEqual(expected);
}

async function dump(face: Face): Promise<Record<string, unknown>> {
  const keys = await face((redis) => redis.call("scan", 0, "count", 10_000));
  const names = Array.isArray(keys) && Array.isArray(keys[1]) ? keys[1].map(String).sort() : [];
  // A stream's dump holds the times at which its consumers were seen.
  const dumps = names.map((key) => (key === "x" ? "xrange x - +" : `dump ${key}`));
  return run(face, (redis, name, args) => invoke(redis, name, args, "Buffer"), dumps);
}

describe.each(Object.entries(ways))("a command given %s", (_name, way) => {
  beforeEach(() => faces.refill(fill));

  it("returns the same as ioredis for a read", async () => {
    await expectAlike((face) => run(face, way, [...reads, ...lookups]));
  });

  it("returns the same as ioredis for a write, and leaves the same data", async () => {
    await expectAlike((face) => run(face, way, writes.slice(0, -1)));
    await group.caughtUp();
    await expectAlike(dump);
    await expectAlike((face) => run(face, way, writes.slice(-1)));
  });

  it("returns the same shape as ioredis for a reply that changes from one moment to the next", async () => {
    await expectAlike(async (face) => shapeOf(await run(face, way, changing)));
  });
});

describe("the lines that are compared", () => {
  const lines = [...reads, ...lookups, ...changing, ...writes];

  it("cover every builtin command of ioredis, except the listed ones", () => {
    const named = new Set([
      ...lines.map((line) => line.split(" ")[0]),
      ...Object.keys(withoutLine).flatMap((names) => names.split(" ")),
    ]);
    const redis = new Redis({ lazyConnect: true });
    expect(redis.getBuiltinCommands().filter((name) => !named.has(name))).toEqual([]);
  });

  it("are answered by a replica when they are reads that it can answer", async () => {
    await faces.refill(fill);
    using routes = listenToRoutes();
    const byReplica = (name: string): boolean => routes.of(name).some((to) => to.startsWith("replica:"));
    for (const [name, face] of faces.ours) {
      const local = /outside|strong/.test(name);
      const covers = async (): Promise<boolean> => {
        await face((redis) => redis.type("str"));
        return local || byReplica("type");
      };
      routes.clear();
      await waitUntil(covers, { what: "a replica has the test data" });
      routes.clear();
      await run(face, (redis, command, args) => redis.call(command, ...args), reads);
      const remote = reads.filter((line) => byReplica(line.split(" ")[0] ?? ""));
      expect(remote, name).toEqual(local ? [] : reads);
    }
  });
});

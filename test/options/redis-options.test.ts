/** Options of ioredis for all connections: each connection uses them, or they are refused with an alternative. */
import { type AbstractConnector, Redis, type RedisOptions } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConnectionLostError, InvalidOptionError, Tidemark, type TidemarkOptions } from "../../src/index.js";
import { type Connection, TcpProxy } from "../support/proxies/tcp-proxy.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const primary = "redis://127.0.0.1:1";
const replicas: string[] = [];

describe("an unsupported option", () => {
  const refused: readonly [what: string, given: () => object, message: RegExp][] = [
    [
      "monitor",
      () => ({ primary, redis: { monitor: true } }),
      /^redis\.monitor: .*tidemark\.redis\.monitor\(\)/,
    ],
    ["readOnly", () => ({ primary, redis: { readOnly: true } }), /^redis\.readOnly: /],
    ["role", () => ({ primary, redis: { role: "slave" } }), /^redis\.role: .*level/],
    [
      "preferredSlaves",
      () => ({ primary, redis: { preferredSlaves: [] } }),
      /^redis\.preferredSlaves: .*weights/,
    ],
    [
      "himportFieldsets",
      () => ({ primary, redis: { himportFieldsets: [{ name: "a", fields: ["f"] }] } }),
      /^redis\.himportFieldsets: .*duplicate/,
    ],
    [
      "sentinels",
      () => ({ primary, redis: { sentinels: [{ port: 1 }] } }),
      /^redis\.sentinels: .*beside `redis`/,
    ],
    ["name", () => ({ primary, redis: { name: "orders" } }), /^redis\.name: .*beside `redis`/],
    ["path", () => ({ primary, redis: { path: "/tmp/redis" } }), /^redis\.path: .*primary: \{ path \}/],
    ["of one server", () => ({ primary: { port: 1, readOnly: true } }), /^primary\.readOnly: /],
    ["of one URL", () => ({ primary: `${primary}?role=slave` }), /^primary\.role: /],
    [
      "of one client",
      () => ({ primary, replicas: [new Redis({ lazyConnect: true, readOnly: true })] }),
      /^replicas\[0\]\.readOnly: /,
    ],
    [
      "a client of Sentinels",
      () => ({ primary: new Redis({ lazyConnect: true, sentinels: [{ port: 1 }], name: "orders" }) }),
      /^primary: .*Pass \{ sentinels, name \} to new Tidemark/,
    ],
  ];

  it.each(refused)("is refused with an alternative: %s", (_what, given, message) => {
    const open = (): Tidemark => new Tidemark({ replicas, ...given() } as unknown as TidemarkOptions);
    expect(open).toThrow(InvalidOptionError);
    expect(open).toThrow(message);
  });

  it("is accepted with ioredis's default, as on a given client", async () => {
    const client = new Redis({ lazyConnect: true, port: 1 });
    await using tidemark = new Tidemark({
      primary: client,
      replicas,
      redis: { lazyConnect: true, role: "master" },
    });
    expect(tidemark.redis.options.port).toBe(1);
  });
});

describe("on real servers", () => {
  let group: ReplicationGroup;

  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 1 });
  });

  afterAll(() => group.stop());

  it("Connector makes each connection, and gets each of its options", async () => {
    const given = {
      ...{ keepAlive: 12_345, noDelay: false, family: 4, disconnectTimeout: 1_234, socketTimeout: 60_000 },
      ...{ enableReadyCheck: false, maxLoadingRetryTime: 4_321, connectTimeout: 9_876, stringNumbers: true },
      ...{ clientInfoTag: "tag", disableClientInfo: false, connectionName: "named", autoResubscribe: false },
    };
    const { Connector: Standalone } = connectorOf();
    const made: RedisOptions[] = [];
    class Recording extends Standalone {
      constructor(options: RedisOptions) {
        super(options);
        made.push(options);
      }
    }
    await using tidemark = openTidemark(group, { redis: { ...given, Connector: Recording as never } });
    await replicasAreEligible(tidemark);
    await tidemark.session().redis.set("k", "v");
    const ports = [group.primary.port, group.replicas[0]?.server.port];
    expect(new Set(made.map(({ port }) => port))).toEqual(new Set(ports));
    for (const options of made) expect(options).toMatchObject(given);
  });

  it("clientInfoTag is sent to each server, and disableClientInfo sends nothing", async () => {
    const sent = async (redis: RedisOptions): Promise<string> => {
      await using proxy = await RecordingProxy.start({ targetPort: group.primary.port });
      await using tidemark = openTidemark(group, { primary: `redis://127.0.0.1:${proxy.port}`, redis });
      await tidemark.ready();
      return proxy.sent;
    };
    expect(await sent({ clientInfoTag: "shop" })).toContain("ioredis(shop)");
    expect(await sent({ disableClientInfo: true })).not.toContain("SETINFO");
  });

  it("socketTimeout ends a connection whose server sends nothing", async () => {
    await using proxy = await TcpProxy.start({ targetPort: group.primary.port });
    await using tidemark = openTidemark(group, {
      ...{ primary: `redis://127.0.0.1:${proxy.port}`, replicas },
      redis: { socketTimeout: 100 },
    });
    await tidemark.ready();
    proxy.stall();
    await expect(tidemark.redis.set("k", "v")).rejects.toThrow(ConnectionLostError);
    proxy.unstall();
  });

  it("autoResubscribe: false forgets subscriptions when the connection is lost", async () => {
    await using tidemark = openTidemark(group, { redis: { autoResubscribe: false } });
    await tidemark.redis.subscribe("news");
    const admin = group.primary.admin();
    const heard = async (): Promise<unknown> => (await admin.pubsub("NUMSUB", "news"))[1];
    expect(await heard()).toBe(1);
    await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
    await waitUntil(async () => (await heard()) === 0, { what: "the subscription is gone" });
    await tidemark.redis.subscribe("other");
    expect(await heard()).toBe(0);
  });
});

/** Records what clients send. */
class RecordingProxy extends TcpProxy {
  sent = "";

  protected override forward(connection: Connection, chunk: Buffer): void {
    this.sent += chunk.toString();
    super.forward(connection, chunk);
  }
}

type Connecting = new (options: RedisOptions) => AbstractConnector & { connect(_: never): Promise<never> };

/** The class by which ioredis connects to one server, which it does not export. */
function connectorOf(): { Connector: Connecting } {
  const { connector } = new Redis({ lazyConnect: true }) as unknown as { connector: AbstractConnector };
  return { Connector: connector.constructor as Connecting };
}

/** `monitor()` shows the primary's commands, settles in time, and ends no process. */
import type { Socket } from "node:net";
import type { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Tidemark } from "../../src/index.js";
import { type Connection, type Outlet, TcpProxy } from "../support/proxies/tcp-proxy.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { waitUntil } from "../support/wait-until.js";

const connectTimeout = 1_000;

/** Sends the reply to MONITOR in one chunk with the lines behind it, up to the first that contains `last`. */
class GatheringProxy extends TcpProxy {
  static readonly last = "gathered";
  readonly #monitors = new Map<Socket, Buffer[]>();

  protected override forward(connection: Connection, chunk: Buffer): void {
    if (chunk.includes("monitor")) this.#monitors.set(connection.client, []);
    super.forward(connection, chunk);
  }

  protected override openOutlet(client: Socket): Outlet {
    const outlet = super.openOutlet(client);
    const write = (chunk: Buffer): void => {
      const gathered = this.#monitors.get(client);
      gathered?.push(chunk);
      if (gathered === undefined) outlet.write(chunk);
      else if (chunk.includes(GatheringProxy.last) || chunk.includes("-NOPERM")) {
        this.#monitors.delete(client);
        outlet.write(Buffer.concat(gathered));
      }
    };
    return { ...outlet, write };
  }
}

let primary: RedisServer;
let proxy: GatheringProxy;
let tidemark: Tidemark;
let monitors: Redis[];

beforeEach(async () => {
  primary = await RedisServer.start();
  proxy = await GatheringProxy.start({ targetPort: primary.port });
  tidemark = new Tidemark({
    primary: { host: proxy.host, port: proxy.port },
    replicas: [],
    redis: { connectTimeout, retryStrategy: () => 10 },
  });
  monitors = [];
});

afterEach(async () => {
  for (const monitor of monitors) monitor.disconnect();
  // A frozen one would make close() wait.
  primary.resume();
  await tidemark.close();
  await proxy.stop();
  await primary.stop();
});

function monitored(monitor: Redis): Redis {
  monitors.push(monitor);
  return monitor;
}

/** Sends the primary commands until `promise` is settled. */
async function busyUntil<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const done = (): void => {
    settled = true;
  };
  promise.then(done, done);
  await waitUntil(
    async () => {
      await primary.admin().echo(GatheringProxy.last);
      return settled;
    },
    { what: "the monitor has settled" },
  );
  return promise;
}

/** Resolves with the first line about a command named `name`. */
function heard(monitor: Redis, name: string): Promise<readonly string[]> {
  return new Promise((resolve) => {
    monitor.on("monitor", (_time, args: string[]) => args[0]?.toLowerCase() === name && resolve(args));
  });
}

describe("a monitor of a busy primary", () => {
  it("opens when lines arrive together with the reply to MONITOR", async () => {
    for (let i = 0; i < 5; i++) {
      const monitor = monitored(await busyUntil(tidemark.redis.monitor()));
      const line = heard(monitor, "set");
      await tidemark.session().redis.set("k", i);
      expect(await line).toEqual(["set", "k", String(i)]);
    }
  });

  it("supports a callback", async () => {
    const called = new Promise<unknown>((resolve) => {
      tidemark.redis.monitor((error, monitor) => resolve(error ?? (monitor && monitored(monitor))));
    });
    expect(await busyUntil(called)).toBe(monitors[0]);
  });

  it("continues after its connection was cut", async () => {
    const monitor = monitored(await busyUntil(tidemark.redis.monitor()));
    const line = heard(monitor, "echo");
    proxy.cut();
    proxy.mend();
    expect(await busyUntil(line)).toEqual(["echo", GatheringProxy.last]);
  });

  it("survives without its primary, and prints errors without a listener", async () => {
    const printed = vi.spyOn(console, "error").mockImplementation(() => {});
    const monitor = monitored(await busyUntil(tidemark.redis.monitor()));
    tidemark.redis.on("error", () => {});
    await primary.kill();
    await waitUntil(() => monitor.status === "reconnecting", { what: "the monitor has lost its connection" });
    await primary.restart();
    await primary.admin().call("ACL", "SETUSER", "default", "-monitor");
    proxy.cut();
    proxy.mend();
    await waitUntil(() => printed.mock.calls.some(([, stack]) => /NOPERM/.test(String(stack))), {
      what: "the refusal is printed",
    });
    const errors: Error[] = [];
    monitor.on("error", (error) => errors.push(error));
    const before = printed.mock.calls.length;
    monitor.disconnect(true);
    await waitUntil(() => errors.some(({ message }) => message.startsWith("NOPERM")), {
      what: "the listener receives the refusal",
    });
    expect(printed.mock.calls.length).toBe(before);
    printed.mockRestore();
  });
});

describe("a monitor that cannot be opened", () => {
  it("is rejected and closed when the primary does not answer within connectTimeout", async () => {
    await tidemark.ready();
    const before = proxy.connections;
    primary.pause();
    const startedAt = performance.now();
    await expect(tidemark.redis.monitor()).rejects.toThrow(
      "did not answer MONITOR within 1000 ms. Check the server, or raise connectTimeout.",
    );
    expect(performance.now() - startedAt).toBeGreaterThan(connectTimeout * 0.9);
    await waitUntil(() => proxy.connections <= before, { what: "the monitor's connection is closed" });
  });

  it.each(["error", "close"])(
    "is rejected without further attempts when the primary is gone: %s",
    async (by) => {
      await tidemark.ready();
      tidemark.redis.on("error", () => {});
      const { duplicate } = tidemark.redis;
      let made: Redis | undefined;
      vi.spyOn(tidemark.redis, "duplicate").mockImplementation((options) => {
        made = duplicate.call(tidemark.redis, options);
        return made;
      });
      if (by === "error") await proxy.stop();
      else proxy.cut();
      await expect(tidemark.redis.monitor()).rejects.toThrow();
      await waitUntil(() => made?.status === "end", { what: "the monitor has ended" });
    },
  );

  it("is rejected when the primary refuses MONITOR", async () => {
    await tidemark.ready();
    await primary.admin().call("ACL", "SETUSER", "default", "-monitor");
    await expect(tidemark.redis.monitor()).rejects.toThrow(/NOPERM/);
  });
});

/** A closed Tidemark does not keep its process alive. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import type { TidemarkOptions } from "../../src/index.js";
import { freePort } from "../support/servers/free-port.js";
import { root } from "../support/sources/built-package.js";

const run = promisify(execFile);
const sockets = new Set<Socket>();
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  for (const socket of sockets) socket.destroy();
});

/** Listens, and gives each connection to `accept`. */
async function listening(accept: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
    accept(socket);
  });
  servers.push(server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Like a proxy that spreads commands, but for its silence when it is sent PING: an examination of it goes on. */
function examined(socket: Socket): void {
  socket.on("data", (bytes: Buffer) => {
    if (!/ping/i.test(bytes.toString())) socket.destroy();
  });
}

const url = (port: number): string => `redis://127.0.0.1:${port}`;
const servedBy = (port: number): TidemarkOptions => ({ primary: url(port), replicas: [] });
const watchedBy = (port: number): TidemarkOptions => ({
  sentinels: [{ host: "127.0.0.1", port }],
  name: "mymaster",
});

const places: Readonly<Record<string, () => Promise<TidemarkOptions>>> = {
  "nothing listens": async () => servedBy(await freePort()),
  "a proxy is being examined": async () => servedBy(await listening(examined)),
  "no Sentinel listens": async () => watchedBy(await freePort()),
  "the Sentinel hangs": async () => watchedBy(await listening(() => {})),
};

const versions: Readonly<Record<string, NodeJS.ProcessEnv>> = {
  "ioredis 6": {},
  "ioredis 5": { TSX_TSCONFIG_PATH: "bench/tsconfig.ioredis5.json" },
};

describe.each(Object.entries(versions))("close() with %s", (_name, env) => {
  it.each(Object.entries(places))("leaves no timer while %s", async (_place, place) => {
    const args = ["--import", "tsx", "test/support/stages/closing-app.ts", JSON.stringify(await place())];
    const { stdout } = await run(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
    expect(JSON.parse(stdout)).toEqual({ timers: 0 });
  });
});

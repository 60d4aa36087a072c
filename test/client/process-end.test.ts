/** A closed Tidemark does not keep its process alive. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import type { TidemarkOptions } from "../../src/index.js";
import { freePort } from "../support/servers/free-port.js";
import { root } from "../support/sources/built-package.js";

const run = promisify(execFile);
/** Takes what ends a server after the test. */
type Owe = (end: () => void) => void;

/** Listens, and gives each connection to `accept`. */
async function listening(owe: Owe, accept: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => {}).on("close", () => sockets.delete(socket)));
    accept(socket);
  });
  server.listen(0, "127.0.0.1");
  owe(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
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

const places: Readonly<Record<string, (owe: Owe) => Promise<TidemarkOptions>>> = {
  "nothing listens": async () => servedBy(await freePort()),
  "a proxy is being examined": async (owe) => servedBy(await listening(owe, examined)),
  "no Sentinel listens": async () => watchedBy(await freePort()),
  "the Sentinel hangs": async (owe) => watchedBy(await listening(owe, () => {})),
};

describe.concurrent("close()", () => {
  it.for(Object.entries(places))("leaves no timer while %s", async ([, place], { onTestFinished }) => {
    const options = await place((end) => onTestFinished(end));
    const args = ["--import", "tsx", "test/support/stages/closing-app.ts", JSON.stringify(options)];
    const { stdout } = await run(process.execPath, args, { cwd: root });
    expect(JSON.parse(stdout)).toEqual({ timers: 0 });
  });
});

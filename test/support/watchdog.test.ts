import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, test } from "vitest";
import { hasDoublings } from "./doublings.js";
import { waitUntil } from "./wait-until.js";

const SERVER_MODULE = fileURLToPath(new URL("./servers/redis-server.ts", import.meta.url));

interface Ending {
  readonly title: string;
  /** The child's last statement once its server runs; the child stays forever if this does not end it. */
  readonly last: string;
  readonly signal?: NodeJS.Signals;
  readonly exits: readonly [code: number | null, signal: NodeJS.Signals | null];
}

const ENDINGS: readonly Ending[] = [
  { title: "returns", last: "clearInterval(staying)", exits: [0, null] },
  { title: "exits with a code", last: "process.exit(7)", exits: [7, null] },
  { title: "throws", last: "setImmediate(() => { throw new Error('on purpose') })", exits: [1, null] },
  { title: "gets SIGINT", last: "", signal: "SIGINT", exits: [null, "SIGINT"] },
  { title: "gets SIGTERM", last: "", signal: "SIGTERM", exits: [null, "SIGTERM"] },
  { title: "gets SIGKILL", last: "", signal: "SIGKILL", exits: [null, "SIGKILL"] },
  {
    title: "gets SIGKILL, its server paused",
    last: "server.pause()",
    signal: "SIGKILL",
    exits: [null, "SIGKILL"],
  },
];

describe("Watchdog", () => {
  // The kernel closes the pipe at the end of every process, whatever ends it.
  const isDoubling = ({ signal, title }: Ending): boolean => signal === undefined || title.includes("INT");

  test.concurrent.for(ENDINGS.filter((ending) => hasDoublings || !isDoubling(ending)))(
    "leaves no server behind a process that $title",
    async ({ last, signal, exits }, { expect, onTestFinished }) => {
      const code = `
      import { RedisServer } from ${JSON.stringify(SERVER_MODULE)};
      const staying = setInterval(() => {}, 1000);
      const server = await RedisServer.start();
      process.stdout.write(JSON.stringify({ port: server.port, dir: server.dir }) + "\\n", () => { ${last} });
    `;
      const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      const exited = once(child, "exit");
      const [line] = await once(createInterface(child.stdout), "line");
      const { port, dir }: { port: number; dir: string } = JSON.parse(line);
      if (signal) {
        expect(await isRefused(port)).toBe(false);
        child.kill(signal);
      }
      expect(await exited).toEqual(exits);
      // Not by process id: where nobody reaps orphans, a dead process keeps its id.
      await waitUntil(() => isRefused(port), { what: `nothing listens on port ${port}` });
      await waitUntil(() => !existsSync(dir), { what: `${dir} is removed` });
    },
  );
});

async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

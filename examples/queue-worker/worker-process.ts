/** Starts the worker as a process of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface WorkerServers {
  readonly primary: string;
  readonly replicas: readonly string[];
}

/** Resolves when the worker waits for jobs. Disposing of the result ends the worker. */
export async function startWorkerProcess({ primary, replicas }: WorkerServers): Promise<AsyncDisposable> {
  const script = fileURLToPath(new URL("worker.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", script], {
    env: { ...process.env, PRIMARY: primary, REPLICAS: replicas.join(",") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const first = await Promise.race([once(child.stdout, "data"), exited.then(() => undefined)]);
  if (first === undefined) throw new Error("the worker ended before it was ready");
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

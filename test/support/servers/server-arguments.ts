/** The arguments of every test server; later arguments win. */

import { join } from "node:path";
import type { RedisBinary } from "./redis-binary.js";

/** The only address that servers listen on. */
export const HOST = "127.0.0.1";
/** In the server's own folder. */
export const CONFIG_FILE = "redis.conf";

interface Place {
  readonly port: number;
  readonly dir: string;
  readonly hasConfig: boolean;
  readonly replicaOf: { readonly host: string; readonly port: number } | undefined;
}

export function defaultArguments(
  { flavour, major }: RedisBinary,
  { port, dir, hasConfig, replicaOf }: Place,
): string[] {
  const args = hasConfig ? [join(dir, CONFIG_FILE)] : [];
  args.push("--port", String(port), "--bind", HOST, "--dir", dir);
  args.push("--save", "", "--appendonly", "no");
  // Synchronised by socket, a replica that acknowledges a moment too early gets no stream for a whole second.
  args.push("--repl-diskless-sync", "no", "--repl-diskless-sync-delay", "0");
  // A finished snapshot is noticed, and so a replica synchronised, at the server's next turn: ten a second by default.
  args.push("--hz", "50");
  // Its files would otherwise make a killed server come back with the data of an earlier synchronisation.
  args.push("--rdb-del-sync-files", "yes");
  if (flavour === "valkey" || major >= 7) args.push("--enable-debug-command", "yes");
  if (replicaOf) args.push("--replicaof", replicaOf.host, String(replicaOf.port));
  return args;
}

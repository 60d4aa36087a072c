/** A primary and its replicas as the topology tests see them, wherever they run: as processes here, or in containers. */

import type { Redis } from "ioredis";
import { describe, inject } from "vitest";
import type { Address } from "./redis-server.js";

/** Where the servers run; nowhere if that is in containers and no engine answers. */
export type Ground =
  | { readonly kind: "processes" }
  | { readonly kind: "containers"; readonly image: string }
  | { readonly kind: "nowhere" };

declare module "vitest" {
  interface ProvidedContext {
    ground: Ground;
  }
}

export interface BackendServer extends Address {
  /** Where clients reach it, also after a restart. */
  readonly url: string;
  /** A plain connection for tests, to be used only where a client could; it reconnects by itself. */
  admin(): Redis;
  /** The fields of one section of INFO. */
  info(section: string): Promise<Record<string, string>>;
  /** Freezes it: connections stay open and nothing is answered. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends it without a chance to save or say good-bye. */
  kill(): Promise<void>;
  /**
   * Ends it and starts it again at the same address and in the role it last had; with the data it had, if it was alive
   * and is not to come back `empty`.
   */
  restart(options?: { readonly empty?: boolean }): Promise<void>;
  /**
   * Takes it off the network. From `"servers"` only, and in silence: neither side is told, and clients that reach it
   * find it answering. From `"everyone"`: its clients lose their connections and get no new ones, too.
   */
  disconnect(from: "servers" | "everyone"): Promise<void>;
  /** Puts it back on the network. */
  connect(): Promise<void>;
  /** Makes it a replica of another server of its group, or a primary if that is undefined. */
  replicate(primary: this | undefined): Promise<void>;
}

export interface ServerGroup extends AsyncDisposable {
  readonly primary: BackendServer;
  readonly replicas: readonly BackendServer[];
  stop(): Promise<void>;
}

/** Arguments with which servers find out within seconds, not a minute, that nothing comes from the other side any more. */
export const hasty = ["--repl-timeout", "3", "--repl-ping-replica-period", "1"];

const ground: Ground = inject("ground") ?? { kind: "processes" };

/** Like `describe`, for tests on servers of whichever kind this run has. */
export function describeOnServers(what: string, tests: () => void): void {
  describe.skipIf(ground.kind === "nowhere")(what, tests);
}

/** Resolves when every replica is connected and in sync. */
export async function startServers(options: { readonly replicas: number }): Promise<ServerGroup> {
  if (ground.kind === "processes") return (await import("./process-group.js")).startProcesses(options);
  if (ground.kind === "nowhere") throw new Error("no Docker engine answers");
  // Only here, so that tests on processes do not load it.
  const { startContainers } = await import("./container-group.js");
  return startContainers({ ...options, image: ground.image });
}

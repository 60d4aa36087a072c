/** Real servers as `tidemark top` sees them. */
import { onTestFinished } from "vitest";
import { type TargetOptions, targetOf } from "../../../src/cli/arguments/target.js";
import { inspect } from "../../../src/cli/inspection/deployment.js";
import { jsonLine } from "../../../src/cli/top/json.js";
import type { ServerRow, Snapshot } from "../../../src/cli/top/snapshot.js";
import { Watch } from "../../../src/cli/top/watch.js";
import { waitUntil } from "../wait-until.js";

export interface WatchedOptions extends TargetOptions {
  readonly intervalMs?: number;
  readonly maxStalenessMs?: number;
  readonly timeoutMs?: number;
}

/** The address of a row, as `tidemark top` writes it. */
export function addressOf({ port }: { readonly port: number }): string {
  return `127.0.0.1:${port}`;
}

/** Ticks as fast as the servers answer. */
export class WatchedServers {
  readonly #watch: Watch;

  private constructor(watch: Watch) {
    this.#watch = watch;
  }

  /** The connections close when the test ends. */
  static async at(urls: readonly string[], options: WatchedOptions = {}): Promise<WatchedServers> {
    const { intervalMs = 1_000, maxStalenessMs = 10_000, timeoutMs = 5_000 } = options;
    const deployment = await inspect(targetOf(urls, options, undefined), {
      settings: { maxStalenessMs },
      depth: "roles",
      timeoutMs,
    });
    const watch = new Watch(deployment, intervalMs);
    onTestFinished(() => watch.close());
    return new WatchedServers(watch);
  }

  tick(): Promise<Snapshot> {
    return this.#watch.tick();
  }

  /** Ticks until a snapshot is as wanted. */
  async until(isWanted: (snapshot: Snapshot) => boolean, timeoutMs = 20_000): Promise<Snapshot> {
    let snapshot = await this.tick();
    try {
      await waitUntil(
        async () => {
          if (isWanted(snapshot)) return true;
          snapshot = await this.tick();
          return false;
        },
        { what: "the servers are as wanted", timeoutMs },
      );
    } catch (cause) {
      throw new Error(`the last snapshot is ${jsonLine(snapshot)}`, { cause });
    }
    return snapshot;
  }

  /** Ticks until a server has this state, and returns its row. */
  async stateOf(server: { readonly port: number }, state: ServerRow["state"]): Promise<ServerRow> {
    const snapshot = await this.until((one) => rowOf(one, server)?.state === state);
    const row = rowOf(snapshot, server);
    if (row === undefined) throw new Error("the server has no row");
    return row;
  }
}

/** The row of a server. Undefined if it is not among the servers. */
export function rowOf({ groups }: Snapshot, server: { readonly port: number }): ServerRow | undefined {
  return groups.flatMap(({ servers }) => servers).find(({ address }) => address === addressOf(server));
}

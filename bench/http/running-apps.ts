/** The apps of one round, which end together. */
import type { AppOptions } from "./app.js";
import type { Contestant } from "./contestants.js";
import { RunningApp } from "./running-app.js";

export class RunningApps implements Disposable {
  readonly #apps = new Map<Contestant, RunningApp>();

  get all(): ReadonlyMap<Contestant, RunningApp> {
    return this.#apps;
  }

  async start(execPath: string, options: AppOptions): Promise<void> {
    this.#apps.set(options.contestant, await RunningApp.start(execPath, options));
  }

  [Symbol.dispose](): void {
    for (const app of this.#apps.values()) app[Symbol.dispose]();
  }
}

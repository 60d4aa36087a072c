/** The table on a screen that is drawn again at each tick, at each key and when the window changes. */
import { EventEmitter, once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { ReadStream, WriteStream } from "node:tty";
import { terminalOf } from "../terminal/terminal.js";
import { lastScroll, screenPage } from "./page.js";
import { Screen } from "./screen.js";
import type { Snapshot } from "./snapshot.js";
import { afterKey, firstView, type Key, type View } from "./view.js";
import type { Watch } from "./watch.js";

export interface LiveTableOptions {
  readonly output: WriteStream;
  readonly input: ReadStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly intervalMs: number;
  readonly maxStalenessMs: number;
}

const defaultHeight = 24;

export class LiveTable {
  readonly #options: LiveTableOptions;
  readonly #screen: Screen;
  readonly #changes = new EventEmitter<{ quit: []; resume: [] }>();
  #view: View = firstView;
  #snapshot: Snapshot | undefined;

  /** Shows the servers until the user quits. The screen is there before the servers are found. */
  static async show(options: LiveTableOptions, findServers: () => Promise<Watch>): Promise<void> {
    const table = new LiveTable(options);
    try {
      const quit = once(table.#changes, "quit");
      table.#draw();
      await Promise.race([quit, table.#watch(findServers)]);
    } finally {
      table.#screen[Symbol.dispose]();
    }
  }

  private constructor(options: LiveTableOptions) {
    this.#options = options;
    const quit = (): unknown => this.#changes.emit("quit");
    this.#screen = new Screen(options.output, options.input, {
      onKey: (key) => this.#press(key),
      onResize: () => this.#draw(),
      onGone: quit,
    });
  }

  async #watch(findServers: () => Promise<Watch>): Promise<never> {
    const { intervalMs } = this.#options;
    const watch = await findServers();
    for (;;) {
      const startedAt = performance.now();
      this.#snapshot = await watch.tick();
      this.#draw();
      await pause(Math.max(startedAt + intervalMs - performance.now(), 0));
      if (this.#view.isPaused) await once(this.#changes, "resume");
    }
  }

  #press(key: Key): void {
    const view = afterKey(this.#view, key);
    if (view === "quit") {
      this.#changes.emit("quit");
      return;
    }
    if (this.#view.isPaused && !view.isPaused) this.#changes.emit("resume");
    this.#view = { ...view, scrolled: Math.min(view.scrolled, lastScroll(this.#snapshot)) };
    this.#draw();
  }

  #draw(): void {
    const { output, env, intervalMs, maxStalenessMs } = this.#options;
    const height = output.rows || defaultHeight;
    const terminal = terminalOf(output, env);
    this.#screen.draw(
      screenPage(this.#snapshot, { terminal, view: this.#view, height, intervalMs, maxStalenessMs }),
    );
  }
}

/** The whole terminal as a screen that is given back as it was, however the program ends. */
import { clearLine, clearScreenDown, cursorTo, emitKeypressEvents } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import type { Key } from "./view.js";

/** Switches to a second screen, hides the cursor, and cuts lines that are too long instead of wrapping them. */
const entering = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const leaving = "\u001b[?7h\u001b[?25h\u001b[?1049l";
/** These end the program. Ctrl-C arrives as a key, but another program may send SIGINT too. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface ScreenEvents {
  readonly onKey: (key: Key) => void;
  readonly onResize: () => void;
  /** The terminal is gone, so nobody can see the screen any more. */
  readonly onGone: () => void;
}

export class Screen implements Disposable {
  readonly #output: WriteStream;
  readonly #input: ReadStream;
  readonly #events: ScreenEvents;
  #isOpen = false;

  /** Takes the terminal at once. */
  constructor(output: WriteStream, input: ReadStream, events: ScreenEvents) {
    this.#output = output;
    this.#input = input;
    this.#events = events;
    // Node prints an uncaught error only after this event, so the user sees the error on the first screen.
    process.on("exit", this.#restore);
    for (const signal of signals) process.on(signal, this.#endBy);
    output.on("error", this.#gone);
    output.on("resize", events.onResize);
    this.#isOpen = true;
    output.write(entering);
    if (!input.isTTY) return;
    emitKeypressEvents(input);
    input.setRawMode(true);
    input.on("keypress", this.#pressed);
    input.on("error", this.#gone);
    input.on("end", this.#gone);
    input.resume();
  }

  /** Draws in one write, so that the screen never shows a part. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const output = this.#output;
    output.cork();
    for (const [row, line] of lines.entries()) {
      cursorTo(output, 0, row);
      clearLine(output, 1);
      output.write(line);
    }
    if (lines.length < output.rows) {
      cursorTo(output, 0, lines.length);
      clearScreenDown(output);
    }
    output.uncork();
  }

  [Symbol.dispose](): void {
    this.#restore();
    process.off("exit", this.#restore);
    for (const signal of signals) process.off(signal, this.#endBy);
    this.#output.off("resize", this.#events.onResize);
    this.#input.off("keypress", this.#pressed);
    this.#input.off("end", this.#gone);
    this.#input.pause();
  }

  readonly #pressed = (_text: string | undefined, key: Key): void => this.#events.onKey(key);

  readonly #gone = (): void => this.#events.onGone();

  readonly #restore = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#input.isTTY) this.#input.setRawMode(false);
    this.#output.write(leaving);
  };

  /** Ends the process by the same signal, so that its parent learns why it ended. */
  readonly #endBy = (signal: NodeJS.Signals): void => {
    this[Symbol.dispose]();
    process.kill(process.pid, signal);
  };
}

/** A bar that shows how far the sampling is. It is drawn only for a person at a terminal. */
import type { Terminal } from "../terminal/terminal.js";

const clearLine = "\r\u001b[2K";
const maxWidth = 40;

export class ProgressBar {
  readonly #terminal: Terminal;
  readonly #write: (text: string) => void;
  #isShown = false;

  constructor(terminal: Terminal, write: (text: string) => void) {
    this.#terminal = terminal;
    this.#write = write;
  }

  show(label: string, share: number): void {
    const { isInteractive, width, hasUnicode } = this.#terminal;
    if (!isInteractive) return;
    const room = Math.max(Math.min(width - label.length - 8, maxWidth), 0);
    const done = Math.round(share * room);
    const [full, empty] = hasUnicode ? ["█", "░"] : ["#", "."];
    const bar = `${full.repeat(done)}${empty.repeat(room - done)}`;
    this.#write(`${clearLine}${`${label} ${bar} ${Math.round(share * 100)} %`.slice(0, width - 1)}`);
    this.#isShown = true;
  }

  clear(): void {
    if (this.#isShown) this.#write(clearLine);
    this.#isShown = false;
  }
}

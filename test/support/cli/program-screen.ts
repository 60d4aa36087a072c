/** The program `tidemark` in a pseudo terminal, and what a person would see there. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import xterm from "@xterm/headless";
import { waitUntil } from "../wait-until.js";

const program = fileURLToPath(new URL("../../../dist/cli/tidemark.js", import.meta.url));

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

export interface ProgramScreenOptions extends Partial<ScreenSize> {
  readonly env?: Readonly<Record<string, string>>;
}

/** `script` of util-linux opens the pseudo terminal, and a terminal emulator reads what the program writes to it. */
export class ProgramScreen implements AsyncDisposable {
  readonly #script: ChildProcess;
  readonly #terminal: InstanceType<typeof xterm.Terminal>;
  readonly #code: Promise<number | null>;
  #pid: number | undefined;
  #device: string | undefined;
  /** Every byte since the program began, escape codes included. */
  written = "";

  /** Resolves when the program has begun. */
  static async start(args: readonly string[], options: ProgramScreenOptions = {}): Promise<ProgramScreen> {
    const screen = new ProgramScreen(args, options);
    await waitUntil(() => screen.#pid !== undefined, { what: "the program has begun" });
    return screen;
  }

  private constructor(args: readonly string[], { columns = 80, rows = 24, env = {} }: ProgramScreenOptions) {
    this.#terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
    const command = [process.execPath, program, ...args].map((part) => `'${part}'`).join(" ");
    // `exec` keeps the process id that the shell has just printed.
    const line = `stty cols ${columns} rows ${rows}; echo "<$$ $(tty)>"; exec ${command}`;
    const child = spawn("script", ["--quiet", "--flush", "--return", "--command", line, "/dev/null"], {
      env: { PATH: process.env.PATH, LANG: "C.UTF-8", TERM: "xterm-256color", SHELL: "/bin/sh", ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#script = child;
    this.#code = once(child, "close").then(([code]) => code);
    child.stdin.on("error", () => {});
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#read(text));
  }

  /** The lines of the screen, without blanks at their ends. */
  get lines(): string[] {
    const { buffer, cols, rows } = this.#terminal;
    const lineAt = (row: number) => buffer.active.getLine(buffer.active.viewportY + row);
    // The emulator keeps the cells that a narrower window has no room for.
    return Array.from({ length: rows }, (_, row) =>
      (lineAt(row)?.translateToString(true, 0, cols) ?? "").trimEnd(),
    );
  }

  get text(): string {
    return this.lines.join("\n").trimEnd();
  }

  /** Whether the program has the second screen of the terminal. */
  get isAlternate(): boolean {
    return this.#terminal.buffer.active.type === "alternate";
  }

  /** The exit code. 128 and the number of the signal if a signal ended the program. */
  get code(): Promise<number | null> {
    return this.#code;
  }

  get pid(): number {
    if (this.#pid === undefined) throw new Error("the program has not begun");
    return this.#pid;
  }

  /** The line of the table with this address or role. */
  row(text: string): string {
    return this.lines.find((line) => line.includes(text)) ?? "";
  }

  /** Resolves when the screen shows what is wanted. */
  async shows(wanted: string | RegExp | ((screen: this) => boolean), timeoutMs?: number): Promise<void> {
    const isShown = (): boolean => {
      if (typeof wanted === "function") return wanted(this);
      return typeof wanted === "string" ? this.text.includes(wanted) : wanted.test(this.text);
    };
    try {
      await waitUntil(isShown, { what: `the screen shows ${wanted}`, ...(timeoutMs && { timeoutMs }) });
    } catch (error) {
      throw new Error(`the screen shows\n${this.text}`, { cause: error });
    }
  }

  press(keys: string): void {
    this.#script.stdin?.write(keys);
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** The kernel tells the program with SIGWINCH, as when a person drags the corner of a window. */
  async resize({ columns, rows }: ScreenSize): Promise<void> {
    this.#terminal.resize(columns, rows);
    await stty(this.#device, ["cols", String(columns), "rows", String(rows)]);
  }

  /** Closes the terminal, as when a person closes its window. Resolves when the program has ended. */
  async close(): Promise<void> {
    this.#script.kill("SIGKILL");
    await waitUntil(() => !isRunning(this.pid), { what: "the program has ended" });
  }

  /** The settings of the terminal, as `stty -a` prints them. */
  settings(): Promise<string> {
    return stty(this.#device, ["-a"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#pid !== undefined && isRunning(this.#pid)) process.kill(this.#pid, "SIGKILL");
    await this.#code;
    this.#terminal.dispose();
  }

  #read(text: string): void {
    this.written += text;
    this.#terminal.write(text);
    const [, pid, device] = /<(\d+) (\S+)>/.exec(this.written) ?? [];
    this.#pid ??= pid === undefined ? undefined : Number(pid);
    this.#device ??= device;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function stty(device: string | undefined, args: readonly string[]): Promise<string> {
  if (device === undefined) throw new Error("the program has not begun");
  const child = spawn("stty", ["-F", device, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  await once(child, "close");
  return text;
}

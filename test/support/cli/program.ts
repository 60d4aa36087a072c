/** The program `tidemark`, run as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { waitUntil } from "../wait-until.js";

const program = fileURLToPath(new URL("../../../dist/cli/tidemark.js", import.meta.url));

export interface ProgramResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Environment = Readonly<Record<string, string>>;

/** A program that runs. It is ended with the test. */
export class RunningProgram {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  stdout = "";
  stderr = "";

  constructor(command: string, args: readonly string[], env: Environment) {
    this.#child = spawn(command, args, {
      env: { PATH: process.env.PATH, LANG: "C.UTF-8", ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#closed = once(this.#child, "close");
    this.#child.stdout?.on("data", (chunk) => {
      this.stdout += chunk;
    });
    this.#child.stderr?.on("data", (chunk) => {
      this.stderr += chunk;
    });
    onTestFinished(() => {
      this.#child.kill("SIGKILL");
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Resolves when the program has printed the text. */
  async says(text: string | RegExp, stream: "stdout" | "stderr" = "stdout"): Promise<void> {
    const isThere = () => (typeof text === "string" ? this[stream].includes(text) : text.test(this[stream]));
    await waitUntil(isThere, { what: `the program says ${text}`, timeoutMs: 20_000 });
  }

  async ended(): Promise<ProgramResult> {
    await this.#closed;
    return { code: this.#child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }
}

/** Starts `tidemark`. */
export function startProgram(args: readonly string[], env: Environment = {}): RunningProgram {
  return new RunningProgram(process.execPath, [program, ...args], env);
}

/** Runs `tidemark` with the arguments until it ends. */
export function tidemark(args: readonly string[], env: Environment = {}): Promise<ProgramResult> {
  return startProgram(args, env).ended();
}

/** Starts a line of the shell in a pseudo terminal. `tidemark` in the line is the program. */
export function startInTerminal(line: string, env: Environment = {}): RunningProgram {
  const command = line.replace(/\btidemark\b/, `${process.execPath} ${program}`);
  return new RunningProgram("script", ["-qec", command, "/dev/null"], { TERM: "xterm", ...env });
}

/** Runs a line of the shell. `tidemark` in the line is the program. */
export function inShell(line: string, env: Environment = {}): Promise<ProgramResult> {
  const command = line.replace(/\btidemark\b/, `${process.execPath} ${program}`);
  return new RunningProgram("sh", ["-c", command], env).ended();
}

/**
 * Ends child processes when this process is gone, however it went: normal exit, exception, any signal.
 *
 * One `sh` per process reads a pipe that only this process holds open. The kernel closes the pipe when the
 * process ends, even by SIGKILL, and the shell then kills what is left. So there are no signal handlers here
 * that could change an exit code.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Negative ids are process groups: a snapshot child of a killed Redis must not outlive it either. */
const SCRIPT = `
trap "" INT TERM HUP
watched=" "
while read -r verb pid; do
  case $verb in
    add) watched="$watched$pid " ;;
    remove) watched="\${watched%% $pid *} \${watched#* $pid }" ;;
  esac
done
for pid in $watched; do kill -9 "-$pid" 2>/dev/null; done
rm -rf "$1"
`;

export class Watchdog {
  static #ofThisProcess: Watchdog | undefined;

  /** A folder that disappears together with this process. */
  readonly folder = mkdtempSync(join(tmpdir(), "tidemark-redis-"));
  readonly #shell: ChildProcess;

  static ofThisProcess(): Watchdog {
    Watchdog.#ofThisProcess ??= new Watchdog();
    return Watchdog.#ofThisProcess;
  }

  private constructor() {
    // In a group of its own, so that a signal to this process's group (Ctrl-C, a CI timeout) spares it.
    this.#shell = spawn("sh", ["-c", SCRIPT, "sh", this.folder], {
      cwd: "/",
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#shell.unref();
    // Without a watchdog the tests still work; only the clean-up after a crash is lost.
    this.#shell.on("error", () => {});
    this.#shell.stdin?.on("error", () => {});
  }

  /** Starts to watch a child that was spawned `detached`, together with its own children. */
  watch(child: ChildProcess): void {
    const { pid } = child;
    if (pid === undefined) return;
    this.#shell.stdin?.write(`add ${pid}\n`);
    child.once("exit", () => this.#shell.stdin?.write(`remove ${pid}\n`));
  }
}

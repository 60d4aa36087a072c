/** The timeout of a command that blocks, in its own arguments. */
import type { Command } from "ioredis";

type Named = Pick<Command, "name"> & { readonly args: readonly unknown[] };

const inSeconds = 1_000;
const firstArgument: ReadonlySet<string> = new Set(["blmpop", "bzmpop"]);

/** Where a command has its timeout, and how many milliseconds one of it is; undefined where it has none. */
function timeoutIn({ name, args }: Named): { readonly at: number; readonly unitMs: number } | undefined {
  const lower = name.toLowerCase();
  if (lower === "xread" || lower === "xreadgroup") {
    const block = args.findIndex((arg) => String(arg).toLowerCase() === "block");
    return block < 0 ? undefined : { at: block + 1, unitMs: 1 };
  }
  if (firstArgument.has(lower)) return { at: 0, unitMs: inSeconds };
  // Other options may follow the timeout of BLMOVEM.
  return { at: lower === "blmovem" ? 4 : args.length - 1, unitMs: inSeconds };
}

/** For how many milliseconds `command` blocks at most; Infinity when that is for ever, or not a number. */
export function blockingTimeoutMs(command: Named): number {
  const timeout = timeoutIn(command);
  const given = timeout && Number(command.args[timeout.at]);
  return timeout !== undefined && given !== undefined && given > 0
    ? given * timeout.unitMs
    : Number.POSITIVE_INFINITY;
}

/** Changes the timeout of `command` to `ms`, which is more than 0. */
export function setBlockingTimeout(command: Command, ms: number): void {
  const timeout = timeoutIn(command);
  if (timeout === undefined) return;
  // Redis takes fractions of a second, but not of a millisecond.
  command.args[timeout.at] = String(Math.max(1, Math.ceil(ms)) / timeout.unitMs);
}

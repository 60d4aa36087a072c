/** Reads and changes the timeout in the arguments of a blocking command. */
import type { Command } from "ioredis";

type Named = Pick<Command, "name"> & { readonly args: readonly unknown[] };

const inSeconds = 1_000;
const firstArgument: ReadonlySet<string> = new Set(["blmpop", "bzmpop"]);

/** The index of a command's timeout argument and the argument's unit in milliseconds. Undefined if the command has no timeout. */
function timeoutIn({ name, args }: Named): { readonly at: number; readonly unitMs: number } | undefined {
  const lower = name.toLowerCase();
  if (lower === "xread" || lower === "xreadgroup") {
    const block = args.findIndex((arg) => String(arg).toLowerCase() === "block");
    return block < 0 ? undefined : { at: block + 1, unitMs: 1 };
  }
  if (firstArgument.has(lower)) return { at: 0, unitMs: inSeconds };
  // In BLMOVEM other options may follow the timeout.
  return { at: lower === "blmovem" ? 4 : args.length - 1, unitMs: inSeconds };
}

/**
 * The longest time that `command` may block, in milliseconds. Infinity if the command blocks for ever or its timeout is not a
 * number.
 */
export function blockingTimeoutMs(command: Named): number {
  const timeout = timeoutIn(command);
  const given = timeout && Number(command.args[timeout.at]);
  return timeout !== undefined && given !== undefined && given > 0
    ? given * timeout.unitMs
    : Number.POSITIVE_INFINITY;
}

/** Changes the timeout of `command` to `ms`, which must be more than 0. */
export function setBlockingTimeout(command: Command, ms: number): void {
  const timeout = timeoutIn(command);
  if (timeout === undefined) return;
  // Redis accepts fractions of a second, but not fractions of a millisecond.
  command.args[timeout.at] = String(Math.max(1, Math.ceil(ms)) / timeout.unitMs);
}

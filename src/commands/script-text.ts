/** Sends scripts of `defineCommand` with their text where a NOSCRIPT reply would come too late to keep the order of commands. */
import type { Command } from "ioredis";

/** A script of up to this many characters is always sent with its text, which costs about as much as the hash. */
const shortLength = 1_024;

/** ioredis's own writer. It sends a script's text once on each socket, and the hash after that. */
type Writer = (this: Command, socket: object) => string | Buffer;

/**
 * Sends the text with the first call of each script among `commands`, and only the hash with later calls. Calls of this function
 * with the same `known` share the record of which scripts were sent with their text.
 */
export function sendScriptTexts(commands: readonly Command[], known: object = {}): void {
  for (const command of commands) {
    if (command.name !== "evalsha" && command.name !== "eval") continue;
    const { toWritable }: { toWritable: Writer } = Object.getPrototypeOf(command);
    command.toWritable = () => toWritable.call(command, known);
  }
}

/** Sends every call of a short script with its text. `defined` is ioredis's definition of the script, and `lua` is the text. */
export function alwaysSendText(defined: unknown, lua: string): void {
  if (lua.length > shortLength || !isDefinition(defined)) return;
  const { prototype } = defined.Command;
  const { toWritable } = prototype;
  prototype.toWritable = function () {
    return toWritable.call(this, {});
  };
}

interface Definition {
  readonly Command: { readonly prototype: Command & { toWritable: Writer } };
}

/** Whether `defined` is ioredis's definition of a script. ioredis makes a separate command class for each script. */
function isDefinition(defined: unknown): defined is Definition {
  return (
    typeof defined === "object" && defined !== null && typeof Reflect.get(defined, "Command") === "function"
  );
}

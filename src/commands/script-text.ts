/** Sends scripts of `defineCommand` with their text, where a reply of NOSCRIPT would come too late to keep the order. */
import type { Command } from "ioredis";

/** Up to this length, in characters, a script is always sent with its text: that costs about as much as its hash. */
const shortLength = 1_024;

/** ioredis's own: it writes the text of a script once for each socket, and the hash from then on. */
type Writer = (this: Command, socket: object) => string | Buffer;

/**
 * Sends the text with the first call of each script among `commands`, and only the hash with later calls. Calls that are
 * given the same `known` count as one sequence.
 */
export function sendScriptTexts(commands: readonly Command[], known: object = {}): void {
  for (const command of commands) {
    if (command.name !== "evalsha" && command.name !== "eval") continue;
    const { toWritable }: { toWritable: Writer } = Object.getPrototypeOf(command);
    command.toWritable = () => toWritable.call(command, known);
  }
}

/** Has every call of a short script sent with its text; `defined` is what ioredis keeps of the script, `lua` its text. */
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

/** Each script has a class of commands of its own in ioredis. */
function isDefinition(defined: unknown): defined is Definition {
  return (
    typeof defined === "object" && defined !== null && typeof Reflect.get(defined, "Command") === "function"
  );
}

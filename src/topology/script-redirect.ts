/**
 * Whether a node of a cluster redirects a script, or the script has returned the text of a redirection itself. The error alone
 * does not tell, so the node is asked.
 */
import { Command } from "ioredis";
import { isScript, keyCount } from "../commands/command-kind.js";
import { isRedirection } from "../commands/server-reply.js";
import type { Node } from "../node/node.js";

/** A hash that no script has, or as good as none. */
const noHash = "0".repeat(40);

/**
 * Whether `error` may redirect `command`. A script may return an error of any text, and one that does not fit the script's keys
 * is certainly its own.
 */
export function mayBeRedirected(command: Command, error: Error): boolean {
  if (!isRedirection(error)) return false;
  if (!isScript(command.name)) return true;
  const keys = keyCount(command);
  const [kind, slot] = error.message.split(" ");
  if (kind === "MOVED" || kind === "ASK") return keys > 0 && Number(slot) === command.getSlot();
  return keys > (kind === "TRYAGAIN" ? 1 : 0);
}

/**
 * Resolves with the error that `node` redirects calls of `script` with. Undefined when it carries them out, or when it does not
 * say. `isAsked` is for a script that was sent behind ASKING. It takes as long as the connection waits for an answer.
 */
export function askForRedirection(
  { connection, greeting }: Node,
  script: Command,
  isAsked: boolean,
): Promise<Error | undefined> {
  if (!connection.ready) return Promise.resolve(undefined);
  const question = emptyCall(script);
  greeting.asWriter(connection, () => {
    if (isAsked) connection.allowMovingSlot();
    connection.send(question);
  });
  return question.promise.then(
    () => undefined,
    (error: Error) => (error.name === "ReplyError" && isRedirection(error) ? error : undefined),
  );
}

/**
 * The same call on the same keys, but of a script that does nothing or does not exist. A node looks at the keys first. The
 * ACL rules that allow the script allow this call too.
 */
function emptyCall(script: Command): Command {
  const isByHash = script.name.toLowerCase().startsWith("evalsha");
  return new Command(script.name, [isByHash ? noHash : "", ...script.args.slice(1, 2 + keyCount(script))]);
}

/**
 * Finds out whether a node of a cluster redirects a script, or the script itself has returned the text of a redirection. The
 * error alone does not show that, so the node is asked.
 */
import { Command } from "ioredis";
import { isScript, keyCount } from "../commands/command-kind.js";
import { isRedirection } from "../commands/server-reply.js";
import type { Node } from "../node/node.js";

/** A hash that no script has, for all practical purposes. */
const noHash = "0".repeat(40);

/**
 * Whether `error` may redirect `command`. A script may return an error with any text. An error that does not fit the script's
 * keys is certainly the script's own.
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
 * Resolves with the error with which `node` redirects calls of `script`. Resolves with undefined if the node executes them, or
 * if it does not answer. `isAsked` is for a script that was sent behind ASKING. It takes as long as the connection waits for an
 * answer.
 */
export function askForRedirection(
  { connection, clusterMode }: Node,
  script: Command,
  isAsked: boolean,
): Promise<Error | undefined> {
  if (!connection.ready) return Promise.resolve(undefined);
  const question = emptyCall(script);
  clusterMode.asWriter(connection, () => {
    if (isAsked) connection.allowMovingSlot();
    connection.send(question);
  });
  return question.promise.then(
    () => undefined,
    (error: Error) => (error.name === "ReplyError" && isRedirection(error) ? error : undefined),
  );
}

/**
 * The same call with the same keys, but of a script that does nothing or does not exist. A node checks the keys first. The ACL
 * rules that allow the script also allow this call.
 */
function emptyCall(script: Command): Command {
  const isByHash = script.name.toLowerCase().startsWith("evalsha");
  return new Command(script.name, [isByHash ? noHash : "", ...script.args.slice(1, 2 + keyCount(script))]);
}

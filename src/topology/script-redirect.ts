/**
 * Finds out whether a node of a cluster redirects a script, or the script itself has returned the text of a redirection. The error
 * is the same in both cases, so Tidemark asks the node.
 */
import { Command } from "ioredis";
import { isScript, keyCount } from "../commands/command-kind.js";
import { isRedirection } from "../commands/server-reply.js";
import { longestTimerMs } from "../connection/offline-queue.js";
import { ConnectionLostError } from "../errors/errors.js";
import type { Node } from "../node/node.js";

/** A SHA-1 hash that in practice no script has. */
const noHash = "0".repeat(40);

/**
 * Whether a node may have redirected `command` with `error`. A script may return an error with any text. If a redirection does not
 * fit the script's keys, the script itself has returned it.
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
 * Resolves with the error if `node` redirects calls of `script`. Resolves with undefined if `node` executes them, or does not answer
 * within the time that commands wait for a connection. Set `isAsked` if the script was sent after ASKING.
 */
export async function askForRedirection(
  node: Node,
  script: Command,
  isAsked: boolean,
): Promise<Error | undefined> {
  const until = performance.now() + node.connection.timeoutMs;
  const error = await ask(node, script, isAsked, until);
  // A primary that has handed over may close its connections just after it has redirected the script.
  const isLost = error !== undefined && ConnectionLostError.isMeantBy(error);
  const last = isLost ? await ask(node, script, isAsked, until) : error;
  return last?.name === "ReplyError" && isRedirection(last) ? last : undefined;
}

/** Resolves with the error that a call with the keys of `script` is answered with. Undefined if there is none. */
async function ask(
  { connection, clusterMode }: Node,
  script: Command,
  isAsked: boolean,
  until: number,
): Promise<Error | undefined> {
  const question = emptyCall(script);
  const giveUp = (): void => question.reject(new Error("no answer in time"));
  const timer = setTimeout(giveUp, Math.min(until - performance.now(), longestTimerMs));
  const send = (absence?: Error): void => {
    if (absence !== undefined) question.reject(absence);
    else
      clusterMode.asWriter(connection, () => {
        if (isAsked) connection.allowMovingSlot();
        connection.send(question);
      });
  };
  connection.whenReady(send, { command: script.name, waits: true });
  try {
    await question.promise;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A call with the keys of `script`, but of a script that does nothing or does not exist. A node checks the keys before the script.
 * The ACL rules that allow `script` also allow this call.
 */
function emptyCall(script: Command): Command {
  const isByHash = script.name.toLowerCase().startsWith("evalsha");
  return new Command(script.name, [isByHash ? noHash : "", ...script.args.slice(1, 2 + keyCount(script))]);
}

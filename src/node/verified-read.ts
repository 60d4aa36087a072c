/** A read and its proof in one transaction. */
import { Command } from "ioredis";
import { Ends } from "../commands/ends.js";
import type { Connection } from "../connection/connection.js";

/**
 * Sends MULTI, INFO, the read and EXEC: what the read sees is exactly what the INFO beside it reports, also when a
 * resynchronisation falls between two commands. `info` may be what stands in its place. Before the read is answered
 * `prove` is given its reply, or undefined when the read was refused for its form, which no position changes.
 */
export function sendVerified(
  connection: Connection,
  command: Command,
  info: Command,
  prove: (reply: unknown) => void,
): void {
  const ends = new Ends(command);
  const [multi, exec] = [new Command("multi"), new Command("exec")];
  let refused = false;
  let carriedOut = false;
  command.resolve = () => {};
  command.reject = (error) => {
    refused ||= !carriedOut;
    if (refused && error.name === "ReplyError") prove(undefined);
    ends.reject(error);
  };
  exec.resolve = (reply) => {
    if (refused) return;
    const [text, value] = Array.isArray(reply) ? reply : [];
    prove(info.transformReply(text));
    carriedOut = true;
    // ioredis tells the command only with errors that are a reply of their own; the end is the one that it has changed
    // when the command left, so that it knows of scripts that a server has forgotten.
    if (value instanceof Error)
      command.reject(Object.assign(value, { command: { name: command.name, args: command.args } }));
    else ends.resolve(value);
  };
  exec.reject = (error) => {
    if (!refused) ends.reject(error);
  };
  for (const quiet of [multi, info]) quiet.reject = () => {};
  connection.cork();
  for (const one of [multi, info, command, exec]) connection.send(one);
}

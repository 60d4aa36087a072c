/** A read and its proof in one transaction. */
import { Command } from "ioredis";
import type { Connection } from "./connection.js";

/** The command that asks a server how its replication stands; the reply is its text. */
export function infoCommand(): Command {
  return new Command("info", ["replication"], { replyEncoding: "utf8" });
}

/**
 * Sends MULTI, INFO, the read and EXEC: what the read sees is exactly what the INFO beside it reports, also when a
 * resynchronisation falls between two commands. `prove` is given the INFO's text before the read is answered.
 */
export function sendVerified(connection: Connection, command: Command, prove: (info: unknown) => void): void {
  const { resolve, reject } = command;
  const [multi, info, exec] = [new Command("multi"), infoCommand(), new Command("exec")];
  let refused = false;
  command.resolve = () => {};
  command.reject = (error) => {
    refused = true;
    reject(error);
  };
  exec.resolve = (reply) => {
    if (refused) return;
    const [text, value] = Array.isArray(reply) ? reply : [];
    prove(info.transformReply(text));
    if (value instanceof Error) reject(value);
    else resolve(value);
  };
  exec.reject = (error) => {
    if (!refused) reject(error);
  };
  for (const quiet of [multi, info]) quiet.reject = () => {};
  connection.cork();
  for (const one of [multi, info, command, exec]) connection.send(one);
}

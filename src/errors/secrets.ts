/** The secrets in the options of a connection, which servers and libraries may repeat in their errors. */
import type { RedisOptions } from "ioredis";

const hidden = "***";

/**
 * Takes the secrets of `options` out of an error that the server or ioredis has made of the handshake, and returns it. Changes
 * `error` itself, because others hold it too.
 */
export function withoutSecrets<E>(error: E, options: RedisOptions): E {
  if (!(error instanceof Error)) return error;
  const secrets = [options.password, options.sentinelPassword].filter((one) => typeof one === "string");
  const cleaned = (text: string): string => withoutArguments(secrets.reduce(withoutOne, text));
  error.message = cleaned(error.message);
  if (error.stack !== undefined) error.stack = cleaned(error.stack);
  const command: unknown = Reflect.get(error, "command");
  // ioredis notes on it which command was refused: HELLO and AUTH have the password among their arguments.
  if (typeof command === "object" && command !== null && "args" in command) command.args = [];
  return error;
}

function withoutOne(text: string, secret: string): string {
  if (secret === "") return text;
  // A plain word may also be part of another one: "PASS" of "WRONGPASS".
  if (/^[a-z]{1,8}$/i.test(secret)) return text.replaceAll(new RegExp(`\\b${secret}\\b`, "g"), hidden);
  return text.replaceAll(secret, hidden);
}

/** Redis repeats what came behind an unknown command, and cuts it short. */
function withoutArguments(text: string): string {
  return text.replace(/(with args beginning with:)[^\n]*/, `$1 ${hidden}`);
}

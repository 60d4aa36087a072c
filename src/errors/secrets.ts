/** Removes the secrets in connection options from errors, because servers and libraries may repeat them. */
import type { RedisOptions } from "ioredis";

const hidden = "***";

/**
 * Removes the secrets of `options` from an error of the handshake, made by the server or by ioredis. Returns the same `error`
 * object, changed, because other code holds it too.
 */
export function withoutSecrets<E>(error: E, options: RedisOptions): E {
  if (!(error instanceof Error)) return error;
  const secrets = [options.password, options.sentinelPassword].filter((one) => typeof one === "string");
  const cleaned = (text: string): string => withoutArguments(secrets.reduce(withoutOne, text));
  error.message = cleaned(error.message);
  if (error.stack !== undefined) error.stack = cleaned(error.stack);
  const command: unknown = Reflect.get(error, "command");
  // ioredis adds the refused command to the error. HELLO and AUTH have the password among their arguments.
  if (typeof command === "object" && command !== null && "args" in command) command.args = [];
  return error;
}

function withoutOne(text: string, secret: string): string {
  if (secret === "") return text;
  // A plain word may also be part of another word: "PASS" in "WRONGPASS".
  if (/^[a-z]{1,8}$/i.test(secret)) return text.replaceAll(new RegExp(`\\b${secret}\\b`, "g"), hidden);
  return text.replaceAll(secret, hidden);
}

/** Removes the arguments of an unknown command. Redis repeats them in its error, cut short. */
function withoutArguments(text: string): string {
  return text.replace(/(with args beginning with:)[^\n]*/, `$1 ${hidden}`);
}

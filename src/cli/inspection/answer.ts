/** What a server said to one question, with the reason if it said nothing useful. */
import type { RedisOptions } from "ioredis";
import { isDenial } from "../../commands/server-reply.js";
import { isNotForwarded } from "../../connection/proxy-detection.js";
import { withoutSecrets } from "../../errors/secrets.js";

/** The answer of one server to one question. */
export type Answer<Value> = { readonly kind: "value"; readonly value: Value } | NoAnswer;

/** Why there is no value. */
export type NoAnswer =
  /** The user may not ask. `rule` is the ACL rule to add, such as `+config|get`. */
  | { readonly kind: "hidden"; readonly rule: string }
  /** The server has no such command, because it is too old, renames the command or is a managed service. */
  | { readonly kind: "absent"; readonly message: string }
  /** No answer in time, a lost connection, or any other error. The message has no secrets. */
  | { readonly kind: "failed"; readonly message: string };

/** The answer to a question that was not asked. */
export const notAsked: NoAnswer = { kind: "failed", message: "the server was not asked" };

/** Commands whose subcommands have ACL rules of their own. */
const containers = new Set([
  ...["acl", "client", "cluster", "command", "config", "latency", "memory", "module", "object"],
  ...["sentinel", "slowlog", "xinfo"],
]);

const noSuchCommand = /^ERR (unknown subcommand|wrong number of arguments|.* support disabled)/i;

/** An answer with a value. */
export function answered<Value>(value: Value): Answer<Value> {
  return { kind: "value", value };
}

/** The value of an answer. Undefined if there is none. */
export function valueIn<Value>(answer: Answer<Value>): Value | undefined {
  return answer.kind === "value" ? answer.value : undefined;
}

/** The answer with its value converted. A conversion that returns undefined means that the reply makes no sense. */
export function converted<Value, Result>(
  answer: Answer<Value>,
  convert: (value: Value) => Result | undefined,
): Answer<Result> {
  if (answer.kind !== "value") return answer;
  const value = convert(answer.value);
  return value === undefined
    ? { kind: "failed", message: "the server sent a reply that makes no sense" }
    : answered(value);
}

/** The ACL rule that allows a command. */
export function ruleFor(command: string, subcommand: string | undefined): string {
  const name = command.toLowerCase();
  return containers.has(name) && subcommand !== undefined
    ? `+${name}|${subcommand.toLowerCase()}`
    : `+${name}`;
}

/** The answer that an error stands for. `options` are those of the connection, so that its secrets can be removed. */
export function answerOfError(
  error: unknown,
  [command = "", subcommand]: readonly string[],
  options: RedisOptions,
): NoAnswer {
  const cleaned = withoutSecrets(error instanceof Error ? error : new Error(String(error)), options);
  if (isDenial(cleaned)) return { kind: "hidden", rule: ruleFor(command, subcommand) };
  const kind = isNotForwarded(cleaned) || noSuchCommand.test(cleaned.message) ? "absent" : "failed";
  return { kind, message: cleaned.message };
}

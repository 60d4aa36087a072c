/** Closes a connection whose server sends nonsense, because nonsense can make ioredis end the process. */
import { Command, type Redis } from "ioredis";
import { addressOf } from "../address.js";
import { withoutSecrets } from "../errors/secrets.js";
import { endOfString, ReplyScanner } from "./reply-scanner.js";

/** Why a connection was closed: its server sent bytes that ioredis cannot read, or a reply that answers no command. */
export class NonsenseError extends Error {
  override name = "NonsenseError";

  constructor(address: string, what: string) {
    super(
      `${address} ${what}, so Tidemark closed this connection and reconnects. ` +
        "Check which program listens there.",
    );
  }
}

/** By name: the form of each message and confirmation of pub/sub, matched against {@link ReplyScanner.head}. */
const forms: ReadonlyMap<string, RegExp> = new Map([
  ["message", /^tt[tn]/],
  ["smessage", /^tt[tn]/],
  ["pmessage", /^tttt/],
  ["subscribe", /^tti/],
  ["psubscribe", /^tti/],
  ["ssubscribe", /^tti/],
  ["unsubscribe", /^t[tn]i/],
  ["punsubscribe", /^t[tn]i/],
  ["sunsubscribe", /^t[tn]i/],
]);

const push = ">".charCodeAt(0);
const dollar = "$".charCodeAt(0);
const plus = "+".charCodeAt(0);
const lineFeed = "\n".charCodeAt(0);
const equals = "=".charCodeAt(0);
/** The first bytes of a verbatim string name its format. */
const formatBytes = "txt:".length;
const lineEndBytes = "\r\n".length;
const shortestName = "subscribe".length;

/** Connections that fail within this time count as failing in a row. In milliseconds. */
const inRowMs = 10_000;

/**
 * Checks the bytes of each connection of `redis` before ioredis reads them. ioredis does not expect some replies, and throws
 * where nobody can catch the error.
 */
export function guardReplies(redis: Redis): void {
  let [faults, latestAt] = [0, Number.NEGATIVE_INFINITY];
  const onFault = (): void => {
    const now = performance.now();
    faults = now - latestAt > inRowMs ? 1 : faults + 1;
    latestAt = now;
    // ioredis resets its count when a connection is ready, so it would retry at once if a connection fails only after that.
    Reflect.set(redis, "retryAttempts", faults);
  };
  redis.on("connect", () => {
    const { stream } = redis;
    // ioredis has just put its own listener in front of all others.
    const [parse] = stream.listeners("data");
    if (parse === undefined) return;
    const guard = new ReplyGuard(redis, (chunk) => parse.call(stream, chunk), onFault);
    stream.prependListener("data", (chunk: Buffer) => guard.take(chunk));
    Reflect.apply(stream.off, stream, ["data", parse]);
  });
}

/** Checks one connection. */
class ReplyGuard {
  readonly #redis: Redis;
  readonly #stream: Redis["stream"];
  readonly #parse: (chunk: Buffer) => void;
  readonly #onFault: () => void;
  readonly #scanner: ReplyScanner;
  /** The command that the present reply answers. */
  #answered: unknown;
  /** How many bytes of the chunk ioredis has been given. */
  #given = 0;
  /** How many commands are answered by complete replies that ioredis has not been given yet. */
  #ahead = 0;
  /** Whether the present reply is delicate, which means that ioredis might not expect it. */
  #isDelicate = false;
  /** The beginning of a delicate reply. ioredis 6 acts on some replies before their last bytes have come. */
  #held: Buffer[] = [];
  #isOver = false;

  constructor(redis: Redis, parse: (chunk: Buffer) => void, onFault: () => void) {
    this.#redis = redis;
    this.#stream = redis.stream;
    this.#parse = parse;
    this.#onFault = onFault;
    // ioredis 5 has no protocol to choose.
    const knowsResp3 = redis.condition?.protocol !== undefined;
    this.#scanner = new ReplyScanner(knowsResp3, redis.options.monitor === true);
  }

  /**
   * Gives ioredis the sound part of `chunk`. How ioredis handles a delicate reply depends on what it has read before, so such a
   * reply is given alone.
   */
  take(chunk: Buffer): void {
    const scanner = this.#scanner;
    let at = scanner.isBetween && !this.#isOver ? this.#answerPlainReplies(chunk) : 0;
    if (at === chunk.length) return;
    this.#given = at;
    try {
      while (at < chunk.length && !this.#isOver) {
        const begun = at;
        if (scanner.isBetween) {
          this.#isDelicate = this.#begin(chunk[at]);
          if (this.#isDelicate) this.#give(chunk, at);
        }
        at = scanner.read(chunk, at);
        if (scanner.fault !== undefined) {
          if (!this.#isDelicate) this.#give(chunk, begun);
          this.#fail(scanner.fault);
        } else if (scanner.isBetween) {
          if (this.#isDelicate) this.#judge(chunk, at);
          else this.#pass();
        }
      }
      if (this.#isOver) return;
      if (!this.#isDelicate || scanner.isBetween) this.#give(chunk, chunk.length);
      else this.#held.push(chunk.subarray(this.#given));
    } catch (error) {
      // A listener of the user has thrown. If the process survives that, the rest still has to be read.
      if (at < chunk.length) process.nextTick(() => this.take(chunk.subarray(at)));
      throw error;
    }
  }

  /**
   * Answers commands with the strings at the beginning of `chunk`, and returns where the first other reply begins. ioredis would
   * decode these replies to the same bytes, and do nothing else with them: they answer usual commands, outside of pub/sub and
   * MONITOR. ioredis has read everything in front of `chunk`, because the last reply was complete.
   */
  #answerPlainReplies(chunk: Buffer): number {
    const { commandQueue, condition, options } = this.#redis;
    if (condition === null || options.monitor === true) return 0;
    let at = 0;
    while (at < chunk.length && !condition.subscriber) {
      const type = chunk[at];
      const isVerbatim = type === equals && condition.protocol === 3;
      const to = type === dollar || type === plus || isVerbatim ? endOfString(chunk, at) : at;
      const item = to === at ? undefined : commandQueue.peekFront();
      if (item === undefined || isOfPubSub(item.command.name)) break;
      const begin = type === plus ? at + 1 : chunk.indexOf(lineFeed, at) + 1;
      const from = isVerbatim ? begin + formatBytes : begin;
      if (from > to - lineEndBytes) break;
      commandQueue.shift();
      at = to;
      answer(item.command, chunk.subarray(from, to - lineEndBytes));
    }
    return at;
  }

  /** Gives ioredis the bytes of `chunk` in front of `to` that it does not have yet. */
  #give(chunk: Buffer, to: number): void {
    const from = this.#given;
    this.#given = to;
    this.#ahead = 0;
    if (from < to) this.#parse(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to));
  }

  /** Whether the reply that begins with `byte` is delicate. */
  #begin(byte: number | undefined): boolean {
    const { commandQueue, condition, options } = this.#redis;
    const item = commandQueue.peekAt(this.#ahead);
    this.#answered = item;
    const isUsual = item !== undefined && byte !== push && !condition?.subscriber && options.monitor !== true;
    if (isUsual && !isOfPubSub(item.command.name)) return false;
    this.#scanner.keep();
    return true;
  }

  /** Counts a complete reply, unless its beginning came earlier and ioredis has already acted on it. */
  #pass(): void {
    const isActedOn = this.#ahead === 0 && this.#redis.commandQueue.peekFront() !== this.#answered;
    if (!isActedOn) this.#ahead += 1;
  }

  /** Gives ioredis a delicate reply that ends at `to`, or closes the connection. */
  #judge(chunk: Buffer, to: number): void {
    const redis = this.#redis;
    const { type, text } = this.#scanner;
    const waiting = redis.commandQueue.peekFront()?.command;
    const fault = this.#faultOf(waiting);
    if (fault !== undefined) {
      this.#fail(fault);
      return;
    }
    const isUnasked =
      redis.condition?.protocol === undefined &&
      type === "*" &&
      isUnsubscription(text) &&
      !isUnsubscription(waiting?.name.toLowerCase() ?? "");
    // ioredis 5 would read this confirmation as the answer to another command, or emit an error that ends the process.
    if (isUnasked) this.#expect(text);
    const held = this.#held;
    this.#held = [];
    for (const bytes of held) this.#parse(bytes);
    this.#give(chunk, to);
    // ioredis 6 emits "moved" by itself. It means that the slot of the channels has moved.
    if (isUnasked && text === "sunsubscribe") redis.emit("moved");
    // The first lines of MONITOR may have arrived already, and ioredis expects them only after this turn.
    if (redis.options.monitor && waiting?.name === "monitor" && text === "OK")
      Reflect.set(redis, "status", "monitoring");
  }

  /** Makes ioredis read the next reply as the answer to a command with this name. */
  #expect(name: string): void {
    const { commandQueue, condition } = this.#redis;
    commandQueue.unshift({
      command: new Command(name, [""]),
      stream: this.#stream,
      select: condition?.select ?? 0,
    });
  }

  /** Why the present delicate reply is nonsense, as the end of a sentence about the server. Undefined if it is not nonsense. */
  #faultOf(waiting: { readonly name: string } | undefined): string | undefined {
    const { condition, status, options } = this.#redis;
    const { type, isNull, head, text } = this.#scanner;
    const isText = "+$=".includes(type) && !isNull;
    if (type === "-" || type === "!")
      return waiting === undefined ? `sent an error that answers no command (${printable(text)})` : undefined;
    if (options.monitor && String(status) === "monitoring") {
      const isLine = isText && (text !== "OK" || waiting !== undefined);
      return isLine ? undefined : `sent ${this.#described} instead of a line of MONITOR`;
    }
    const name = waiting?.name.toLowerCase() ?? "";
    const isPush = type === ">";
    if (isPush && !head.startsWith("t")) return "sent a push without a name";
    // Over RESP2, messages come as usual replies, so ioredis checks all of them.
    const hasMessages = Boolean(condition?.subscriber) && condition?.protocol !== 3;
    const isList = "*~%".includes(type) && (hasMessages || forms.has(name));
    if ((isPush || isList) && head.startsWith("t") && forms.has(text))
      return this.#faultInMessage(name, hasMessages);
    if (isPush) return undefined;
    if (forms.has(name) && !(isText && text === "QUEUED"))
      return `answered ${name.toUpperCase()} with ${this.#described}`;
    if (hasMessages && isList && !/^[tix]/.test(head))
      return `sent ${this.#described} on a pub/sub connection`;
    return waiting === undefined ? `sent ${this.#described} that answers no command` : undefined;
  }

  /**
   * Why a message or confirmation of pub/sub is nonsense, as the end of a sentence about the server. Undefined if it is not
   * nonsense. `name` is the name of the command that waits for an answer.
   */
  #faultInMessage(name: string, hasMessages: boolean): string | undefined {
    const { type, head, text } = this.#scanner;
    if (forms.get(text)?.test(head) === false) return `sent a malformed "${text}"`;
    if (text.endsWith("message"))
      return type === ">" || hasMessages ? undefined : `answered ${name.toUpperCase()} with a message`;
    return isUnsubscription(text) || name === text
      ? undefined
      : "confirmed a subscription that Tidemark did not ask for";
  }

  get #described(): string {
    const { type, isNull, head } = this.#scanner;
    if (isNull) return "null";
    if (type === "*") return head === "" ? "an empty array" : "an array of an unexpected form";
    if (type === ":") return "an integer";
    return "+$=".includes(type) ? "a string" : `a reply of type "${type}"`;
  }

  #fail(what: string): void {
    const { options } = this.#redis;
    this.#isOver = true;
    this.#held = [];
    this.#onFault();
    this.#stream.destroy(withoutSecrets(new NonsenseError(addressOf(options), what), options));
  }
}

type Answerable = Pick<Command, "resolve">;

/** As in ioredis, an error that a transformer of the user throws does not keep later replies from being read. */
function answer(command: Answerable, reply: Buffer): void {
  try {
    command.resolve(reply);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

/** Whether a command, in whatever case its name is, subscribes or unsubscribes. */
function isOfPubSub(name: string): boolean {
  return name.length >= shortestName && forms.has(name.toLowerCase());
}

function isUnsubscription(kind: string): boolean {
  return forms.has(kind) && kind.includes("unsubscribe");
}

function printable(text: string): string {
  return text.replaceAll(/[^ -~]/g, "?");
}

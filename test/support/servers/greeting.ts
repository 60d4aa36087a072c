/** Tells by the first commands on a connection who speaks there: a client, a replica or a sentinel. */

export type Speaker =
  | { readonly party: "clients" | "sentinels" }
  /** The port is the one that the replica announces, if it does. */
  | { readonly party: "replicas"; readonly port: number | undefined };

interface Command {
  readonly words: readonly string[];
  /** Undefined while the end of the command has not arrived. */
  readonly length: number | undefined;
}

/** Said by everybody before anything else: a replica's handshake begins with PING, a sentinel's with AUTH. */
const COMMON = new Set(["PING", "AUTH"]);
/** A greeting is short; nobody else is waited for. */
const LONGEST = 4_096;

export class Greeting {
  /** Whether its first command was PING, with which replicas begin, and nobody else but by hand. */
  beganWithPing = false;
  #begun = false;
  #unread = "";
  #port: number | undefined;

  /** Takes what was sent next; undefined as long as anybody might have said all of it. */
  hear(chunk: Buffer): Speaker | undefined {
    this.#unread += chunk.toString("latin1");
    while (this.#unread !== "") {
      const { words, length } = readCommand(this.#unread);
      if (!this.#begun && words.length > 0) this.beganWithPing = words[0]?.toUpperCase() === "PING";
      this.#begun ||= words.length > 0;
      const speaker = this.#whoSays(words);
      if (speaker !== undefined) return speaker;
      if (length === undefined) break;
      this.#unread = this.#unread.slice(length);
    }
    return this.#unread.length > LONGEST ? { party: "clients" } : undefined;
  }

  #whoSays([verb, noun, value]: readonly string[]): Speaker | undefined {
    const command = verb?.toUpperCase();
    if (command === undefined || COMMON.has(command)) return undefined;
    if (command === "PSYNC" || command === "SYNC") return { party: "replicas", port: this.#port };
    if (command === "REPLCONF") {
      if (noun?.toLowerCase() === "listening-port" && value !== undefined) this.#port = Number(value);
      return this.#port === undefined ? undefined : { party: "replicas", port: this.#port };
    }
    if (command !== "CLIENT") return { party: "clients" };
    if (noun === undefined) return undefined;
    if (noun.toUpperCase() !== "SETNAME") return { party: "clients" };
    if (value === undefined) return undefined;
    // Sentinel names itself so before anything but AUTH, on both its connections to a node.
    return { party: value.startsWith("sentinel-") ? "sentinels" : "clients" };
  }
}

/** The first command of `text`, or the words of it that are there. */
function readCommand(text: string): Command {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return text.startsWith("*") ? { words: [], length: undefined } : readLine(text);
  const words: string[] = [];
  let at = head[0].length;
  const bulk = /\$(\d+)\r\n/y;
  while (words.length < Number(head[1])) {
    bulk.lastIndex = at;
    const size = bulk.exec(text)?.[1];
    const start = bulk.lastIndex;
    if (size === undefined || text.length < start + Number(size) + 2) return { words, length: undefined };
    words.push(text.slice(start, start + Number(size)));
    at = start + Number(size) + 2;
  }
  return { words, length: at };
}

/** A command as one types it into a terminal. */
function readLine(text: string): Command {
  const end = text.indexOf("\n");
  if (end < 0) return { words: [], length: undefined };
  return { words: text.slice(0, end).trim().split(" "), length: end + 1 };
}

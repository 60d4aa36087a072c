/** A server that speaks Redis's protocol (RESP2) and answers each command with what a test chooses, nonsense included. */

import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/** The reply to a command: an Error is sent as an error. */
export type FakeReply = string | number | null | Error | Raw | readonly FakeReply[];

/** Bytes as they are to be sent. */
export class Raw {
  readonly bytes: string;

  constructor(bytes: string) {
    this.bytes = bytes;
  }
}

/** Leaves a command unanswered. */
export const silence: unique symbol = Symbol("silence");

/** Gives the reply to a command, whose name is in lower case; undefined stands for OK. */
export type Answer = (name: string, args: readonly string[]) => FakeReply | typeof silence | undefined;

export class FakeServer {
  readonly host = "127.0.0.1";
  /** Every command that came, in order. */
  readonly received: string[][] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async start(answer: Answer): Promise<FakeServer> {
    const fake = new FakeServer(answer);
    fake.#server.listen(0, fake.host);
    await once(fake.#server, "listening");
    return fake;
  }

  private constructor(answer: Answer) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      let rest = "";
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("data", (bytes) => {
        const { commands, left } = commandsIn(rest + bytes.toString("latin1"));
        rest = left;
        for (const command of commands) {
          this.received.push(command);
          const [name = "", ...args] = command;
          const reply = answer(name.toLowerCase(), args);
          if (reply !== silence) socket.write(encoded(reply === undefined ? "+OK\r\n" : reply), "latin1");
        }
      });
    });
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the server is stopped");
    return address.port;
  }

  /** How many clients are connected now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Sends every client something that it has not asked for. */
  send(bytes: string): void {
    for (const socket of this.#sockets) socket.write(bytes, "latin1");
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

function encoded(reply: FakeReply): string {
  if (reply instanceof Raw) return reply.bytes;
  if (reply === null) return "$-1\r\n";
  if (reply === "+OK\r\n") return reply;
  if (typeof reply === "string") return `$${reply.length}\r\n${reply}\r\n`;
  if (typeof reply === "number") return `:${reply}\r\n`;
  if (reply instanceof Error) return `-${reply.message}\r\n`;
  return `*${reply.length}\r\n${reply.map(encoded).join("")}`;
}

function commandsIn(text: string): { commands: string[][]; left: string } {
  const commands: string[][] = [];
  let from = 0;
  while (true) {
    let at = text.indexOf("\r\n", from);
    if (at < 0) return { commands, left: text.slice(from) };
    const command: string[] = [];
    for (let words = Number(text.slice(from + 1, at)); words > 0; words--) {
      const end = text.indexOf("\r\n", at + 2);
      const start = end + 2;
      const length = Number(text.slice(at + 3, end));
      if (end < 0 || text.length < start + length + 2) return { commands, left: text.slice(from) };
      command.push(text.slice(start, start + length));
      at = start + length;
    }
    commands.push(command);
    from = at + 2;
  }
}

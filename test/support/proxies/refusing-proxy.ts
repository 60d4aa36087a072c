/** Stands in front of a real server and refuses what a proxy that spreads commands does not forward. */
import { type Connection, sever, TcpProxy } from "./tcp-proxy.js";

const refused = new Set(["hello", "client", "info"]);

export class RefusingProxy extends TcpProxy {
  /** `"answers"` has the server say that it does not know the command. */
  manner: "closes" | "answers" | "forwards" = "closes";
  /** How many commands were refused so far. */
  refusals = 0;
  /** After so many it forwards all. */
  atMost = Number.POSITIVE_INFINITY;

  /** Clients send whole commands, so one is never split. */
  protected override forward(connection: Connection, chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      const { name, nameAt, end } = commandIn(rest);
      const isRefused = refused.has(name) && this.manner !== "forwards" && this.refusals < this.atMost;
      if (isRefused) this.refusals += 1;
      if (isRefused && this.manner === "closes") {
        sever(connection);
        return;
      }
      // Redis quotes the name of a command that it does not know.
      if (isRefused) rest.write("X", nameAt);
      super.forward(connection, rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  }
}

/** The first command in what a client sends, in the protocol of Redis. */
function commandIn(bytes: Buffer): { readonly name: string; readonly nameAt: number; readonly end: number } {
  const lineEnd = (from: number): number => bytes.indexOf("\r\n", from);
  const numberAt = (from: number): number => Number(bytes.toString("latin1", from + 1, lineEnd(from)));
  const count = numberAt(0);
  let at = lineEnd(0) + 2;
  let nameAt = 0;
  let name = "";
  for (let i = 0; i < count; i++) {
    const length = numberAt(at);
    const start = lineEnd(at) + 2;
    if (i === 0) {
      nameAt = start;
      name = bytes.toString("latin1", start, start + length).toLowerCase();
    }
    at = start + length + 2;
  }
  return { name, nameAt, end: at };
}

/** How a server is asked how far it is in the stream: by INFO, or where that is forbidden by a marker. */
import type { Connection } from "./connection.js";
import { infoCommand } from "./inquiry.js";
import type { Inquiry, Marker } from "./marker.js";
import { parseReplication, type Replication } from "./replication.js";

/** What proves how far a server is: its own word, a key in the stream, or nothing. */
export type ProofKind = "position" | "marker" | "none";

/** What a server has said; a text says why it means nothing. */
export type Said = { readonly replication: Replication; readonly text: string } | string;

const unfit = "INFO replication lacks a role, a master_replid or an offset";

export class Proof {
  /** Undefined until the server of this connection has been asked. */
  kind: ProofKind | undefined;
  readonly #connection: Connection;
  readonly #marker: Marker | undefined;
  #forbidden = false;

  constructor(connection: Connection, marker: Marker | undefined) {
    this.#connection = connection;
    this.#marker = marker;
  }

  /** Begins with INFO again: behind a new connection there may be another server, or another rule. */
  begin(): void {
    this.kind = undefined;
    this.#forbidden = false;
  }

  /** Asks; `forbidden` is told when INFO is, before the marker is asked for in its place. */
  ask(answer: (said: Said | undefined, error?: Error) => void, forbidden: (error: Error) => void): void {
    const byMarker = this.#forbidden;
    const { command, read } = this.question();
    const { resolve } = command;
    command.resolve = (reply) => {
      resolve(reply);
      answer(read(command.transformReply(reply)));
    };
    command.reject = (error) => {
      resolve(null);
      const denied = error.name === "ReplyError" && error.message.startsWith("NOPERM");
      if (denied && !byMarker && this.#marker !== undefined) {
        this.#forbidden = true;
        forbidden(error);
        return this.ask(answer, forbidden);
      }
      if (denied) this.kind = "none";
      if (byMarker && this.#marker !== undefined && error.message.startsWith("READONLY"))
        return answer({ replication: this.#marker.refused(), text: "" });
      return answer(undefined, error);
    };
    this.#connection.send(command);
  }

  /** What is asked now, to be sent by somebody else; `read` takes the reply as the command transforms it. */
  question(): { readonly command: Inquiry["command"]; readonly read: (reply: unknown) => Said } {
    if (!this.#forbidden || this.#marker === undefined)
      return {
        command: infoCommand(),
        read: (reply) => this.#told("position", parseReplication(reply) ?? unfit, reply),
      };
    // Only the connection to a primary is patient.
    const marker = this.#connection.patient ? this.#marker.write(this.#connection) : this.#marker.look();
    return { command: marker.command, read: (reply) => this.#told("marker", marker.read(reply), "") };
  }

  #told(kind: ProofKind, said: Replication | string, text: unknown): Said {
    this.kind = said === unfit ? "none" : kind;
    if (typeof said === "string") return said;
    return { replication: said, text: typeof text === "string" ? text : "" };
  }
}

/** How a server is asked how far it is in the stream: by INFO, or where that is forbidden by a marker. */

import { Command } from "ioredis";
import { Ends } from "../commands/ends.js";
import type { Connection } from "../connection/connection.js";
import { faultOf, parseReplicationInfo, type ReplicationInfo } from "../replication/replication-info.js";
import { type MarkerKey, notThere, type ProbeCommand } from "./marker-key.js";
import { infoCommand } from "./own-commands.js";

/**
 * The proof of how far a server is: its own word, a key in the stream, or none. Nothing can be proven of a proxy
 * that spreads commands.
 */
export type ProofKind = "position" | "marker" | "none" | "proxy";

/** What a server has said; a text says why it means nothing. */
export type ProbeAnswer = { readonly replication: ReplicationInfo; readonly text: string } | string;

type Answer = (said: ProbeAnswer | undefined, error?: Error) => void;

export class PositionProbe {
  /** Undefined until the server of this connection has been asked. */
  kind: ProofKind | undefined;
  /** What INFO was refused with on this connection, if it was forbidden. */
  refusal: Error | undefined;
  /** Whether INFO is asked next although it was forbidden: the rule may have been taken back. */
  #asksAgain = false;
  readonly #connection: Connection;
  readonly #marker: MarkerKey | undefined;

  /** `marker` stands for the word of a server whose ACL forbids to ask for it. */
  constructor(connection: Connection, marker: MarkerKey | undefined) {
    this.#connection = connection;
    this.#marker = marker;
  }

  /** Begins with INFO again: behind a new connection there may be another server, or another rule. */
  begin(): void {
    this.kind = this.#connection.proxySign === undefined ? undefined : "proxy";
    this.refusal = undefined;
  }

  /** Has the next question be INFO, although it was forbidden on this connection. */
  askAgain(): void {
    this.#asksAgain = this.refusal !== undefined;
  }

  /** Asks, unless all that could be asked was forbidden on this connection. */
  ask(answer: Answer): void {
    const refusal = this.#asksAgain ? undefined : this.refusal;
    if (refusal !== undefined && this.kind === "none") {
      answer(undefined, refusal);
      return;
    }
    const { command, read } = this.#asksAgain ? this.#info() : this.question();
    this.#asksAgain = false;
    const { resolve } = command;
    command.resolve = (reply) => {
      // Nobody waits for its promise.
      resolve(null);
      answer(read(command.transformReply(reply)));
    };
    command.reject = (error) => {
      resolve(null);
      if (error.name !== "ReplyError") answer(undefined, error);
      else if (error.message.startsWith("NOPERM")) this.#forbidden(refusal, error, answer);
      else if (refusal !== undefined && error.message.startsWith("READONLY"))
        answer(this.#told("marker", this.#marker?.refused() ?? faultOf(""), ""));
      else answer(undefined, error);
    };
    this.#connection.send(command);
  }

  /** What is asked now, to be sent by somebody else; `read` takes the reply as the command transforms it. */
  question(): { readonly command: ProbeCommand["command"]; readonly read: (reply: unknown) => ProbeAnswer } {
    if (this.refusal === undefined || this.#marker === undefined) return this.#info();
    // Only the connection to a primary is patient.
    const marker = this.#connection.waitsForConnection
      ? this.#marker.write(this.#connection)
      : this.#marker.look();
    return { command: marker.command, read: (reply) => this.#told("marker", marker.read(reply), "") };
  }

  #info(): { readonly command: ProbeCommand["command"]; readonly read: (reply: unknown) => ProbeAnswer } {
    const read = (reply: unknown): ProbeAnswer => {
      this.refusal = undefined;
      return this.#told("position", parseReplicationInfo(reply) ?? faultOf(reply), reply);
    };
    return { command: infoCommand(), read };
  }

  /** Goes one rung down: from INFO, or with `refusal` from the marker, to what there is below. */
  #forbidden(refusal: Error | undefined, error: Error, answer: Answer): void {
    this.refusal = refusal ?? error;
    const goesOn = refusal === undefined && this.#marker !== undefined;
    if (!goesOn) this.kind = "none";
    this.ask(answer);
  }

  #told(kind: ProofKind, said: ReplicationInfo | string, text: unknown): ProbeAnswer {
    this.kind = typeof said === "string" && said !== notThere ? "none" : kind;
    if (typeof said === "string") return said;
    return { replication: said, text: typeof text === "string" ? text : "" };
  }
}

/**
 * Sends MULTI, INFO, the read and EXEC: what the read sees is exactly what the INFO beside it reports, also when a
 * resynchronisation falls between two commands. `info` may be what stands in its place. Before the read is answered
 * `prove` is given its reply, or undefined when the read was refused for its form, which no position changes.
 */
export function sendWithProof(
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
  connection.beginTurn();
  for (const one of [multi, info, command, exec]) connection.send(one);
}

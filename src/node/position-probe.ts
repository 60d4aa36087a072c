/** Asks a server for its position in the replication stream: by INFO, or by a marker key if an ACL forbids INFO. */
import { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { hasTraceSubscribers } from "../commands/tracers.js";
import type { Connection } from "../connection/connection.js";
import { faultOf, parseReplicationInfo, type ReplicationInfo } from "../replication/replication-info.js";
import { type MarkerKey, notThere } from "./marker-key.js";
import { InfoQuestion, infoCommand } from "./own-commands.js";

/**
 * The proof for the position of a server: its own report in INFO (`position`), a marker key in the stream (`marker`), or none
 * (`none`). The position of a `proxy` that spreads commands cannot be proven.
 */
export type ProofKind = "position" | "marker" | "none" | "proxy";

/** The report of a server, or the reason why its reply shows no position. */
export type ProbeAnswer = { readonly replication: ReplicationInfo; readonly text: string } | string;

/** A command that asks for the position, and how to read its transformed reply. */
interface Question {
  readonly command: Command;
  readonly read: (reply: unknown) => ProbeAnswer;
}

type OnAnswer = (answer: ProbeAnswer | undefined, error?: Error) => void;

export class PositionProbe {
  /** Undefined until the server of this connection has been asked. */
  kind: ProofKind | undefined;
  /** The error of INFO on this connection, if an ACL forbids it. */
  refusal: Error | undefined;
  #refusedAt = Number.POSITIVE_INFINITY;
  /** Whether the next question is INFO although it was forbidden. The ACL rule may have changed. */
  #asksAgain = false;
  readonly #connection: Connection;
  readonly #marker: MarkerKey | undefined;

  /** `marker` proves the position of a server whose ACL forbids INFO. */
  constructor(connection: Connection, marker: MarkerKey | undefined) {
    this.#connection = connection;
    this.#marker = marker;
  }

  /** Starts with INFO again, because a new connection may lead to another server or meet another ACL rule. */
  begin(): void {
    this.kind = this.#connection.proxySign === undefined ? undefined : "proxy";
    this.refusal = undefined;
  }

  /**
   * Makes INFO the next question if it was forbidden on this connection at `moment`, on the monotonic clock, or earlier. Returns
   * whether it does.
   */
  askAgain(moment: number): boolean {
    this.#asksAgain = this.refusal !== undefined && this.#refusedAt <= moment;
    return this.#asksAgain;
  }

  /** Asks for the position, unless the ACL forbids every way to ask on this connection. */
  ask(onAnswer: OnAnswer): void {
    const refusal = this.#asksAgain ? undefined : this.refusal;
    if (refusal !== undefined && this.kind === "none") {
      onAnswer(undefined, refusal);
      return;
    }
    const asksMarker = this.#marker !== undefined && (refusal !== undefined || this.#mustUseMarker);
    this.#asksAgain = false;
    if (asksMarker) this.#askBy(this.probeCommand(), refusal, onAnswer);
    // The trace of a command ends with its promise.
    else if (hasTraceSubscribers()) this.#askBy(this.#info(), refusal, onAnswer);
    else this.#askInfo(refusal, onAnswer);
  }

  /** Whether the primary forbids INFO, so that the INFO of this replica would say nothing. */
  get #mustUseMarker(): boolean {
    return this.#marker?.isInUse === true && !this.#connection.waitsForConnection;
  }

  #askInfo(refusal: Error | undefined, onAnswer: OnAnswer): void {
    const question = new InfoQuestion();
    question.resolve = (reply) => onAnswer(this.#readInfo(question.transformReply(reply)));
    question.reject = (error) => this.#failed(error, refusal, onAnswer);
    this.#connection.send(question);
  }

  #askBy({ command, read }: Question, refusal: Error | undefined, onAnswer: OnAnswer): void {
    const { resolve } = command;
    command.resolve = (reply) => {
      // Nothing waits for the promise of the command.
      resolve(null);
      onAnswer(read(command.transformReply(reply)));
    };
    command.reject = (error) => {
      resolve(null);
      this.#failed(error, refusal, onAnswer);
    };
    this.#connection.send(command);
  }

  #failed(error: Error, refusal: Error | undefined, onAnswer: OnAnswer): void {
    if (error.name !== "ReplyError") onAnswer(undefined, error);
    else if (error.message.startsWith("NOPERM")) this.#forbidden(refusal, error, onAnswer);
    else if (refusal !== undefined && error.message.startsWith("READONLY"))
      onAnswer(this.#answer("marker", this.#marker?.refused() ?? faultOf(""), ""));
    else onAnswer(undefined, error);
  }

  /**
   * The command that now asks for the position, for a caller that sends it itself. The caller passes the transformed reply to
   * `read`.
   */
  probeCommand(): Question {
    if (this.#marker === undefined || !(this.refusal !== undefined || this.#mustUseMarker))
      return this.#info();
    // Only a connection to a primary has commands that wait for it, and only a primary takes the marker.
    const marker = this.#connection.waitsForConnection
      ? this.#marker.writeCommand(this.#connection)
      : this.#marker.readCommand();
    return { command: marker.command, read: (reply) => this.#answer("marker", marker.read(reply), "") };
  }

  #info(): Question {
    return { command: infoCommand(), read: (reply) => this.#readInfo(reply) };
  }

  #readInfo(reply: unknown): ProbeAnswer {
    this.refusal = undefined;
    if (this.#marker !== undefined && this.#connection.waitsForConnection) this.#marker.isInUse = false;
    return this.#answer("position", parseReplicationInfo(reply) ?? faultOf(reply), reply);
  }

  /**
   * Without `refusal`, falls back from INFO to the marker. With `refusal`, the error of INFO, falls back from the marker to no
   * proof.
   */
  #forbidden(refusal: Error | undefined, error: Error, onAnswer: OnAnswer): void {
    this.refusal = refusal ?? error;
    if (refusal === undefined) this.#refusedAt = performance.now();
    const canUseMarker = refusal === undefined && this.#marker !== undefined;
    if (!canUseMarker) this.kind = "none";
    this.ask(onAnswer);
  }

  #answer(kind: ProofKind, report: ReplicationInfo | string, text: unknown): ProbeAnswer {
    this.kind = typeof report === "string" && report !== notThere ? "none" : kind;
    if (typeof report === "string") return report;
    return { replication: report, text: typeof text === "string" ? text : "" };
  }
}

/**
 * Sends MULTI, INFO, the read and EXEC. The read then sees exactly the data of the position that INFO reports, even if the replica
 * resynchronizes between two commands. `info` may be the command that replaces INFO. Before the read is answered, `prove` is called
 * with the reply of `info`. If the server refused the read for its form, `prove` is called with undefined, because the refusal is
 * the same at every position.
 */
export function sendWithProof(
  connection: Connection,
  command: Command,
  info: Command,
  prove: (reply: unknown) => void,
): void {
  const callbacks = new CommandCallbacks(command);
  const [multi, exec] = [new Command("multi"), new Command("exec")];
  let refused = false;
  let isExecuted = false;
  command.resolve = () => {};
  command.reject = (error) => {
    refused ||= !isExecuted;
    if (refused && error.name === "ReplyError") prove(undefined);
    callbacks.reject(error);
  };
  exec.resolve = (reply) => {
    if (refused) return;
    const [text, value] = Array.isArray(reply) ? reply : [];
    prove(info.transformReply(text));
    isExecuted = true;
    // ioredis adds the command only to errors that are replies of their own, not to errors inside the reply of EXEC. When ioredis
    // sent the command, it replaced `command.reject`. Calling this method lets ioredis notice a script that the server has
    // forgotten.
    if (value instanceof Error)
      command.reject(Object.assign(value, { command: { name: command.name, args: command.args } }));
    else callbacks.resolve(value);
  };
  exec.reject = (error) => {
    if (!refused) callbacks.reject(error);
  };
  for (const quiet of [multi, info]) quiet.reject = () => {};
  connection.beginTurn();
  for (const one of [multi, info]) connection.send(one);
  connection.sendGiven(command);
  connection.send(exec);
}

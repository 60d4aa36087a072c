/** Defines every error that Tidemark throws, each with a stable code. */
import { kindOf } from "./value-kind.js";

const brand = Symbol.for("tidemark.error");

/** The kind of failure. A `code` never changes between versions, but messages may. */
export type ErrorCode =
  | "TIDEMARK_INVALID_OPTION"
  | "TIDEMARK_REPLICAS_BEHIND"
  | "TIDEMARK_ABORTED"
  | "TIDEMARK_NOT_REPLICATED"
  | "TIDEMARK_CONNECTION_LOST"
  | "TIDEMARK_REFUSED_COMMAND"
  | "TIDEMARK_NOT_PRIMARY"
  | "TIDEMARK_NO_PRIMARY"
  | "TIDEMARK_LOST_WRITE"
  | "TIDEMARK_ITERATION_LOST"
  | "TIDEMARK_TRANSACTION_LOST"
  | "TIDEMARK_CLOSED";

/** The base class of all errors of this package. `instanceof` also works across two installed copies. */
export class TidemarkError extends Error {
  override name = "TidemarkError";
  readonly code: ErrorCode;
  readonly [brand] = true;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (this !== TidemarkError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === "object" && value !== null && brand in value;
  }
}

/** The longest `Retry-After`, in seconds. A longer wait may end early. */
const maxRetryAfter = 30;

/** Whole seconds for `Retry-After`, from 1 to {@link maxRetryAfter}. 1 if there is no estimate. */
function retryAfter(ms = 0): string {
  return String(Math.min(Math.max(Math.ceil(ms / 1_000), 1), maxRetryAfter));
}

/** A temporary error. Web frameworks answer it with 503 and `Retry-After`, because they look for these fields. */
export abstract class UnavailableError extends TidemarkError {
  readonly status = 503;
  readonly statusCode = 503;
  /** `Retry-After` has whole seconds, from 1 to 30. The value is 1 if nothing is known about when the error will have passed. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether Koa may show the message to the user. */
  readonly expose = false;

  /** `retryAfterMs` is the time until the error will probably have passed, if there is an estimate. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions, retryAfterMs?: number) {
    super(code, message, options);
    this.headers = { "Retry-After": retryAfter(retryAfterMs) };
  }

  /** The response that Hono and similar frameworks ask for. */
  getResponse(): Response {
    return new Response("Service Unavailable", { status: this.status, headers: { ...this.headers } });
  }
}

/**
 * An option, argument or secret that cannot be used. The call that receives the value throws the error before anything runs. Some
 * addresses are found to be wrong only by asking the server, such as a Sentinel's. Commands then reject with this error. The
 * message shows numbers, booleans and the words that options can have. Of any other value it names only the kind, because the
 * value may be secret.
 */
export class InvalidOptionError extends TidemarkError {
  override name = "InvalidOptionError";

  /** `problem` says what is wrong. Default: the kind of value that was given. */
  constructor(option: string, got: unknown, remedy: string, problem = `got ${kindOf(got)}`) {
    const end = remedy.endsWith("?") ? "" : ".";
    super("TIDEMARK_INVALID_OPTION", `${option}: ${problem}; ${remedy}${end}`);
  }
}

/** A connection that closed, and the latest error on it. */
interface Lost {
  readonly address: string;
  readonly error: Error | undefined;
}

const closing =
  /^(Reached the max retries per request limit|Connection is closed\.|Command aborted due to connection close)/;

/** A command was in flight when its connection closed. The command may have run, so Tidemark never resends it. */
export class ConnectionLostError extends TidemarkError {
  override name = "ConnectionLostError";

  constructor(command: string, address: string, cause: unknown) {
    const why = cause instanceof Error && cause.message !== "" ? ` (${cause.message})` : "";
    super(
      "TIDEMARK_CONNECTION_LOST",
      `${command}: the connection to ${address} closed before the answer came${why}, so it may have been carried out; ` +
        "read what it was to change before you send it again.",
      { cause },
    );
  }

  /** Whether `error` came from the connection, and not from the server or from anything else that a command waits for. */
  static isMeantBy(error: Error): boolean {
    if (error instanceof TidemarkError) return error instanceof ConnectionLostError;
    return error.name !== "ReplyError";
  }

  /** Returns `error`. If it came from the connection, returns the error that this means for `command` instead. */
  static of(command: string, connection: Lost, error: Error): Error {
    if (error instanceof ConnectionLostError || !ConnectionLostError.isMeantBy(error)) return error;
    // ioredis gives the same text to each command that was unanswered when a connection closed, whatever the cause was.
    const isTold = !/^(MaxRetriesPerRequestError|Error)$/.test(error.name) || !closing.test(error.message);
    const cause = isTold ? error : connection.error;
    return new ConnectionLostError(command.toUpperCase(), connection.address, cause);
  }
}

/** A command that would harm everyone on a shared connection. The message names the right way. */
export class RefusedCommandError extends TidemarkError {
  override name = "RefusedCommandError";

  constructor(command: string, remedy: string) {
    super(
      "TIDEMARK_REFUSED_COMMAND",
      `${command.toUpperCase()} does not work on a shared connection; ${remedy}.`,
    );
  }
}

/** The node on which a SCAN, HSCAN, SSCAN or ZSCAN began is gone. The cursor is not valid on any other node. */
export class IterationLostError extends TidemarkError {
  override name = "IterationLostError";

  constructor(command: string, why: string, options?: ErrorOptions) {
    super(
      "TIDEMARK_ITERATION_LOST",
      `${command}: ${why}, and a cursor is of use only where it came from; begin again with cursor 0.`,
      options,
    );
  }
}

/** The connection of a WATCH or MULTI is gone. The transaction ended and none of it was run. */
export class TransactionLostError extends TidemarkError {
  override name = "TransactionLostError";

  constructor(command: string, why: string) {
    super(
      "TIDEMARK_TRANSACTION_LOST",
      `${command}: ${why}, so nothing of this transaction is carried out; begin it again.`,
    );
  }
}

/** An estimate of which replica will be the first to have the data that a read requires, and when. */
export interface CatchUpEstimate {
  /** `host:port` of that replica. Undefined if no replica can ever have the data. */
  readonly node: string | undefined;
  /** How many bytes of replication the replica lacked when it last reported its position. Undefined if that is unknown. */
  readonly behindBytes: number | undefined;
  /** The time until the replica will probably have the data, in milliseconds, at least 1. Undefined if there is no estimate. */
  readonly retryAfterMs: number | undefined;
}

export const noEstimate: CatchUpEstimate = {
  node: undefined,
  behindBytes: undefined,
  retryAfterMs: undefined,
};

/**
 * No replica has the required data, and the read may not go to the primary. Either `fallback` is `"error"`, or the primary
 * already answers as many such reads as `fallbackLimit` allows. Web frameworks answer this error with 503 and a `Retry-After` of
 * `retryAfterMs` in whole seconds, from 1 to 30. The message names no server, because some frameworks show it to users. The field
 * `node` names the server.
 */
export class ReplicasBehindError extends UnavailableError implements CatchUpEstimate {
  override name = "ReplicasBehindError";
  /** Why no replica may answer, as on `tidemark:route`: for example `"behind"`, `"starting"` or `"unusable"`. */
  readonly reason: string;
  /** `host:port` of the replica that will probably be the first to answer. Undefined if no replica may answer. */
  readonly node: string | undefined;
  /** How many bytes of replication that replica lacked when it last reported its position. Undefined if that is unknown. */
  readonly behindBytes: number | undefined;
  /**
   * The time until that replica will probably answer, in milliseconds, at least 1. The estimate uses the replica's lag and rate.
   * If the replica is already late, it gets as much time again as it is late, up to 30 seconds. Undefined if there is no
   * estimate.
   */
  readonly retryAfterMs: number | undefined;

  constructor(command: string, reason: string, why = 'fallback is "error"', estimate = noEstimate) {
    super(
      "TIDEMARK_REPLICAS_BEHIND",
      `${command}: no replica may answer now (${reason}): ${outlookOf(reason, estimate)}, and ${why}; ${remedyFor(reason, estimate)}.`,
      undefined,
      estimate.retryAfterMs,
    );
    this.reason = reason;
    this.node = estimate.node;
    this.behindBytes = estimate.behindBytes;
    this.retryAfterMs = estimate.retryAfterMs;
  }
}

function outlookOf(reason: string, { node, behindBytes, retryAfterMs }: CatchUpEstimate): string {
  if (node === undefined) {
    if (reason === "no-replica") return "there is none that may be read";
    if (reason === "unusable") return "none can be used";
    return "when one may answer is not known";
  }
  const lacks = behindBytes ? `is ${grouped(behindBytes)} bytes behind and ` : "";
  if (retryAfterMs === undefined)
    return lacks === ""
      ? "when the nearest may answer is not known"
      : `the nearest ${lacks}not known to catch up soon`;
  const recovers = lacks === "" ? "be able to answer" : "have caught up";
  return `the nearest ${lacks}will probably ${recovers} in ${grouped(retryAfterMs)} ms`;
}

function remedyFor(reason: string, { retryAfterMs }: CatchUpEstimate): string {
  if (retryAfterMs !== undefined) return "try again then";
  if (reason === "no-replica") return 'add a replica, or use fallback "primary"';
  if (reason === "unusable") return "topology() says why for each replica";
  return "try again in a second";
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

/** Too few replicas were known to have a write in time. The write stays on the primary, and replicas may still receive it. */
export class NotReplicatedError extends TidemarkError {
  override name = "NotReplicatedError";
  /** How many replicas the write concern asked for. */
  readonly wanted: number | "all";
  /** How many replicas had the write when time ran out. Undefined if that could not be found out. `cause` then says why. */
  readonly replicas: number | undefined;

  constructor(wanted: number | "all", replicas: number | undefined, timeoutMs: number, cause?: unknown) {
    const known = replicas === undefined ? `it is not known how many (${causeOf(cause)})` : `${replicas}`;
    super(
      "TIDEMARK_NOT_REPLICATED",
      `Of ${wanted} replicas wanted within ${timeoutMs} ms ${known} had the write, which stands on the primary; ` +
        "do not write it again, but read it, or wait for replicas to come back.",
      { cause },
    );
    this.wanted = wanted;
    this.replicas = replicas;
  }
}

function causeOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : "no reason was given";
}

/** A read was waiting for a replica when its request was aborted. */
export class AbortedError extends TidemarkError {
  override name = "AbortedError";

  constructor(command: string) {
    super("TIDEMARK_ABORTED", `${command}: nobody waits for the answer any more, and it was not sent.`);
  }
}

/**
 * The server given or known as the primary is a replica, and no other server reported in time that it is the primary. No part of
 * the command was run. If a replica was given in place of the primary, the message names the primary.
 */
export class NotPrimaryError extends UnavailableError {
  override name = "NotPrimaryError";

  /** `upstream` is the server that `address` has replicated from since Tidemark first connected to it. */
  constructor(command: string, address: string, upstream?: string) {
    const isNow = `${address} is a replica now, and no other server has said yet that it is the primary`;
    super(
      "TIDEMARK_NOT_PRIMARY",
      upstream === undefined
        ? `${command}: ${isNow}; try again in some seconds.`
        : `${command}: ${address} is no primary: it replicates from ${upstream}; give that server as \`primary\`.`,
    );
  }
}

/** No primary could be reached in time, so nothing was sent. `cause` is the latest error of the connection, if there is one. */
export class NoPrimaryError extends UnavailableError {
  override name = "NoPrimaryError";

  /** Without an `address`, no primary is known yet. */
  constructor(command: string, address: string | undefined, fault: string, options?: ErrorOptions) {
    super(
      "TIDEMARK_NO_PRIMARY",
      address === undefined
        ? `${command}: no primary is known (${fault}), so nothing was sent; check these servers, or try again when they run.`
        : `${command}: there is no primary now (${address}: ${fault}), so nothing was sent; try again in some seconds.`,
      options,
    );
  }
}

/** Acknowledged writes of a session are lost for good. The primary failed before any remaining server had them. */
export class LostWriteError extends TidemarkError {
  override name = "LostWriteError";

  constructor(command: string, gap: number) {
    super(
      "TIDEMARK_LOST_WRITE",
      `${command}: a failover has lost the last writes of this session, made within ${gap} bytes of replication ` +
        "behind what was kept; tell the user, and read again to go on with what is left.",
    );
  }
}

/**
 * The Tidemark was closed before the command was sent, or while the command blocked. The message is ioredis's own, because
 * libraries recognise the error by it. Web frameworks answer the error with 503 and `Retry-After`, because another process may
 * serve the request.
 */
export class ClosedError extends UnavailableError {
  override name = "ClosedError";

  constructor() {
    super("TIDEMARK_CLOSED", "Connection is closed.");
  }
}

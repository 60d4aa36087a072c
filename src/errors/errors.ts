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
  /** `Retry-After` has whole seconds, from 1 to 30. The value is 1 if there is no estimate of how long the error will last. */
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
 * wrong addresses are found only when Tidemark asks the server, for example the address of a Sentinel in place of a primary.
 * Commands then reject with this error. The message shows numbers, booleans and the words that options can have. Of any other
 * value it names only the kind, because the value may be secret.
 */
export class InvalidOptionError extends TidemarkError {
  override name = "InvalidOptionError";

  /** `remedy` is a sentence without a full stop. `problem` says what is wrong. Default: the kind of value that was given. */
  constructor(option: string, got: unknown, remedy: string, problem = `got ${kindOf(got)}`) {
    const end = remedy.endsWith("?") ? "" : ".";
    super("TIDEMARK_INVALID_OPTION", `${option}: ${problem}. ${remedy}${end}`);
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
      `${command}: the connection to ${address} closed before the reply arrived${why}. The command may have run, so check ` +
        "the data before you retry it.",
      { cause },
    );
  }

  /** Whether `error` came from the connection, and not from the server or from anything else that a command waits for. */
  static isMeantBy(error: Error): boolean {
    if (error instanceof TidemarkError) return error instanceof ConnectionLostError;
    return error.name !== "ReplyError";
  }

  /** Returns `error`, or a `ConnectionLostError` for `command` instead if `error` came from the connection. */
  static of(command: string, connection: Lost, error: Error): Error {
    if (error instanceof ConnectionLostError || !ConnectionLostError.isMeantBy(error)) return error;
    // ioredis gives the same text to each command that was unanswered when a connection closed, whatever the cause was. In that
    // case the connection's own error is the better cause.
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
      `${command.toUpperCase()} does not work on a shared connection. ${remedy}.`,
    );
  }
}

/** The node on which a SCAN, HSCAN, SSCAN or ZSCAN began is gone. The cursor is not valid on any other node. */
export class IterationLostError extends TidemarkError {
  override name = "IterationLostError";

  constructor(command: string, why: string, options?: ErrorOptions) {
    super(
      "TIDEMARK_ITERATION_LOST",
      `${command}: ${why}. A cursor is valid only on the server that returned it, so start again with cursor 0.`,
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
      `${command}: ${why}, so no part of this transaction was run. Retry the whole transaction.`,
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
   * If the replica is already later than expected, the estimate is as long again as it is late, up to 30 seconds. Undefined if
   * there is no estimate.
   */
  readonly retryAfterMs: number | undefined;

  constructor(command: string, reason: string, why = 'fallback is "error"', estimate = noEstimate) {
    super(
      "TIDEMARK_REPLICAS_BEHIND",
      `${command}: no replica can answer now (${reason}), and the read may not go to the primary because ${why}. ` +
        `${outlookOf(reason, estimate)}. ${remedyFor(reason, estimate)}.`,
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
    if (reason === "no-replica") return "No replica is configured, or all have weight 0";
    if (reason === "unusable") return "Tidemark cannot use any replica";
    return "Tidemark cannot estimate when a replica will be able to answer";
  }
  const lag = behindBytes ? `is ${grouped(behindBytes)} bytes behind` : "";
  if (retryAfterMs === undefined)
    return lag === ""
      ? "Tidemark cannot estimate when the nearest replica will be able to answer"
      : `The nearest replica ${lag}, and Tidemark cannot estimate when it will catch up`;
  const ms = grouped(retryAfterMs);
  return lag === ""
    ? `The nearest replica will probably be able to answer in ${ms} ms`
    : `The nearest replica ${lag} and will probably catch up in ${ms} ms`;
}

function remedyFor(reason: string, { retryAfterMs }: CatchUpEstimate): string {
  if (retryAfterMs !== undefined) return "Retry after that time";
  if (reason === "no-replica") return 'Add a replica, or set fallback to "primary"';
  if (reason === "unusable") return "topology() shows the reason for each replica";
  return "Retry in a second";
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
    const known =
      replicas === undefined
        ? `it is not known how many replicas had the write after ${timeoutMs} ms (${causeOf(cause)})`
        : `${replicas} ${replicas === 1 ? "replica" : "replicas"} had the write after ${timeoutMs} ms`;
    super(
      "TIDEMARK_NOT_REPLICATED",
      `replicated(${JSON.stringify(wanted)}): ${known}. The primary acknowledged the write, so do not write it again: ` +
        "read it, or wait until replicas are back.",
      { cause },
    );
    this.wanted = wanted;
    this.replicas = replicas;
  }
}

function causeOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : "unknown cause";
}

/** A read was waiting for a replica when its request was aborted. */
export class AbortedError extends TidemarkError {
  override name = "AbortedError";

  constructor(command: string) {
    super(
      "TIDEMARK_ABORTED",
      `${command}: the HTTP request was aborted while this read waited for a replica, so the read was not sent. This is normal if the browser or caller disconnected.`,
    );
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
    const isNow = `${address} is a replica now, and no other server has reported that it is the primary`;
    super(
      "TIDEMARK_NOT_PRIMARY",
      upstream === undefined
        ? `${command}: ${isNow}. Retry in a few seconds.`
        : `${command}: ${address} is not a primary, because it replicates from ${upstream}. Set \`primary\` to that server.`,
    );
  }
}

/**
 * No primary could be reached in time, so nothing was sent. There is one exception: a pub/sub command may have been sent. If its
 * subscription succeeds later, Tidemark ends it. `cause` is the latest error of the connection, if there is one.
 */
export class NoPrimaryError extends UnavailableError {
  override name = "NoPrimaryError";

  /** Without an `address`, no primary is known yet. `effect` says what did not happen. */
  constructor(
    command: string,
    address: string | undefined,
    fault: string,
    options?: ErrorOptions,
    effect = "nothing was sent",
  ) {
    const cause = fault.replace(/\.$/, "");
    super(
      "TIDEMARK_NO_PRIMARY",
      address === undefined
        ? `${command}: no primary is known, so ${effect}. Cause: ${cause}. Check these servers, or retry when they run.`
        : `${command}: the primary ${address} is not available, so ${effect}. Cause: ${cause}. Retry in a few seconds.`,
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
      `${command}: a failover lost this session's latest writes, which were up to ${gap} bytes past the surviving data. ` +
        "Tell the user, and retry the read to continue with the surviving data.",
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

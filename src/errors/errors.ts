/** Every error Tidemark throws, each with a stable code. */
import { kindOf } from "./value-kind.js";

const brand = Symbol.for("tidemark.error");

/** What a failed call was told; `code` never changes between versions, messages may. */
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

/** The base of all errors of this package; `instanceof` also holds across two installed copies. */
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

/** The longest that `Retry-After` asks anybody to wait, in seconds: a longer wait may end early. */
const maxRetryAfter = 30;

/** Whole seconds for `Retry-After`, at least 1 and at most {@link maxRetryAfter}; 1 where nothing is estimated. */
function retryAfter(ms = 0): string {
  return String(Math.min(Math.max(Math.ceil(ms / 1_000), 1), maxRetryAfter));
}

/** An error that passes by itself. Web frameworks answer it with 503 and `Retry-After`, by the fields they look for. */
export abstract class UnavailableError extends TidemarkError {
  readonly status = 503;
  readonly statusCode = 503;
  /** `Retry-After` has whole seconds, from 1 to 30; 1 where it is not known when the error will have passed. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether Koa may show the message to the user. */
  readonly expose = false;

  /** `retryAfterMs` is when the error will probably have passed, if something supports an estimate. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions, retryAfterMs?: number) {
    super(code, message, options);
    this.headers = { "Retry-After": retryAfter(retryAfterMs) };
  }

  /** The answer as Hono and its like ask for it. */
  getResponse(): Response {
    return new Response("Service Unavailable", { status: this.status, headers: { ...this.headers } });
  }
}

/**
 * An option, argument or secret that cannot be used; thrown where it is given, before anything runs. If only the server can show
 * that its address is wrong, as that of a Sentinel is, commands are rejected with this error. The message shows numbers,
 * booleans and the words that options can have. Of any other value it names the kind only, because the value may be secret.
 */
export class InvalidOptionError extends TidemarkError {
  override name = "InvalidOptionError";

  /** `problem` says what is wrong; default: which kind of value came. */
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

/** A command was on its way when its connection closed: it may have been carried out, and is never sent again by itself. */
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

  /** Whether `error` came from the connection: not from the server, nor from what else a command has to wait for. */
  static isMeantBy(error: Error): boolean {
    if (error instanceof TidemarkError) return error instanceof ConnectionLostError;
    return error.name !== "ReplyError";
  }

  /** `error` itself, or what it means for `command` when it came from the connection. */
  static of(command: string, connection: Lost, error: Error): Error {
    if (error instanceof ConnectionLostError || !ConnectionLostError.isMeantBy(error)) return error;
    // ioredis says the same of each command that was unanswered when a connection closed, whatever closed it.
    const isTold = !/^(MaxRetriesPerRequestError|Error)$/.test(error.name) || !closing.test(error.message);
    const cause = isTold ? error : connection.error;
    return new ConnectionLostError(command.toUpperCase(), connection.address, cause);
  }
}

/** A command that would harm everybody on a shared connection; the message names the right way. */
export class RefusedCommandError extends TidemarkError {
  override name = "RefusedCommandError";

  constructor(command: string, remedy: string) {
    super(
      "TIDEMARK_REFUSED_COMMAND",
      `${command.toUpperCase()} does not work on a shared connection; ${remedy}.`,
    );
  }
}

/** The node on which a SCAN, HSCAN, SSCAN or ZSCAN began is gone, and its cursor means nothing elsewhere. */
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

/** The connection that a WATCH or MULTI was sent on is gone, so the transaction ended without being carried out. */
export class TransactionLostError extends TidemarkError {
  override name = "TransactionLostError";

  constructor(command: string, why: string) {
    super(
      "TIDEMARK_TRANSACTION_LOST",
      `${command}: ${why}, so nothing of this transaction is carried out; begin it again.`,
    );
  }
}

/** Which replica will probably be the first to have what a read requires, and when. */
export interface CatchUpEstimate {
  /** `host:port` of that replica; undefined if there is none that may ever have it. */
  readonly node: string | undefined;
  /** How many bytes of replication it lacked when it last reported its position; undefined when that is not known. */
  readonly behindBytes: number | undefined;
  /** In how many milliseconds it will probably have them, at least 1; undefined when nothing supports an estimate. */
  readonly retryAfterMs: number | undefined;
}

export const noEstimate: CatchUpEstimate = {
  node: undefined,
  behindBytes: undefined,
  retryAfterMs: undefined,
};

/**
 * No replica has what the read requires, and the primary may not be asked: `fallback` is `"error"`, or it answers as many
 * such reads as `fallbackLimit` allows. Web frameworks answer it with 503 and `Retry-After`, which is `retryAfterMs` in
 * whole seconds, from 1 to 30. The message names no server, because some frameworks show it to users; `node` does.
 */
export class ReplicasBehindError extends UnavailableError implements CatchUpEstimate {
  override name = "ReplicasBehindError";
  /** Why no replica may answer, as on `tidemark:route`: for example `"behind"`, `"starting"` or `"unusable"`. */
  readonly reason: string;
  /** `host:port` of the replica that will probably be the first to answer; undefined if there is none that may. */
  readonly node: string | undefined;
  /** How many bytes of replication that replica lacked when it last reported its position; undefined when not known. */
  readonly behindBytes: number | undefined;
  /**
   * In how many milliseconds that replica will probably answer, at least 1, estimated from its lag and its rate. A replica
   * that is late is given as long as it is late already, up to 30 seconds. Undefined when nothing supports an estimate.
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

/** Fewer replicas than wanted are known to hold a write in time. It stands on the primary, and replicas may yet get it. */
export class NotReplicatedError extends TidemarkError {
  override name = "NotReplicatedError";
  /** How many were wanted. */
  readonly wanted: number | "all";
  /** How many held it when time was over; undefined when that could not be learnt, as `cause` says. */
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

/** A read waited for a replica, and the request it belongs to was aborted meanwhile. */
export class AbortedError extends TidemarkError {
  override name = "AbortedError";

  constructor(command: string) {
    super("TIDEMARK_ABORTED", `${command}: nobody waits for the answer any more, and it was not sent.`);
  }
}

/**
 * The primary is a replica, and no other server said in time that it is the primary. Nothing of the command was carried out.
 * The message names the primary if a replica was given in its place.
 */
export class NotPrimaryError extends UnavailableError {
  override name = "NotPrimaryError";

  /** `upstream` is the server that the one at `address` has replicated from since it was first connected to. */
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

/**
 * No primary could be reached in time, so nothing was sent. `cause` is the latest error of the connection, if there is one.
 */
export class NoPrimaryError extends UnavailableError {
  override name = "NoPrimaryError";

  /** Without an `address` no primary was named so far. */
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

/** Acknowledged writes of a session are gone for good: the primary failed before any server that is left had them. */
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
 * The Tidemark was closed before the command was sent, or while it blocked. The message is ioredis's own, by which libraries
 * know it. Web frameworks answer it with 503 and `Retry-After`, because another process may serve the request.
 */
export class ClosedError extends UnavailableError {
  override name = "ClosedError";

  constructor() {
    super("TIDEMARK_CLOSED", "Connection is closed.");
  }
}

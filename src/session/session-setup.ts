/** What one session is made of, in addition to what it shares with the other sessions of its `Tidemark`. */
import { type Consistency, checkConsistency, mergeConsistency } from "../consistency/read-policy.js";
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";
import { type Bucket, type Membership, membershipOf, type RolloutChoice } from "../rollout/membership.js";
import type { Seal } from "./seal.js";

/** The options of a new session. */
export interface SessionOptions {
  /**
   * The result of `session.token()` in another request or process: one token, several, or a function that returns several. The
   * session calls the function when it first needs the tokens. Text that is not a token is ignored.
   */
  readonly token?: string | readonly string[] | (() => readonly string[]) | undefined;
  /** The level of reads that name no level. Default `"session"`. */
  readonly level?: Consistency | undefined;
  /** Whether later requests of the session never see older data than its earlier reads. Default: the option of the `Tidemark`. */
  readonly monotonicReads?: boolean | undefined;
  /** Aborts reads that wait for a replica. A function is called when a read begins to wait. */
  readonly signal?: AbortSignal | (() => AbortSignal) | undefined;
  /** Encrypts and decrypts tokens for `session.sealed()` and `session.addSealed()`. `readYourWrites` sets one for its secret. */
  readonly seal?: Seal | undefined;
  /**
   * The user, for a `rollout` below 1: an id that never changes, such as the number of the account. The same users are then
   * included in every process. With true or false you decide yourself whether the user is included. A function is called when the
   * answer is first needed. If the user is unknown, replicas answer no reads of the session until `rollout` is 1.
   */
  readonly rollout?: RolloutChoice | (() => RolloutChoice | Bucket);
}

const names = ["token", "level", "monotonicReads", "signal", "seal", "rollout"];

/**
 * The checked options of one session. A class, because V8 may place literals among old objects, and each of these refers to its
 * request.
 */
export class SessionSetup implements SessionOptions {
  readonly token: SessionOptions["token"];
  readonly level: Consistency;
  readonly monotonicReads: boolean | undefined;
  readonly seal: Seal | undefined;
  readonly signal: SessionOptions["signal"];
  readonly rollout: SessionOptions["rollout"];

  /** Throws an `InvalidOptionError` if an option cannot be used. */
  constructor(
    token?: SessionOptions["token"],
    level?: Consistency,
    monotonicReads?: boolean,
    seal?: Seal,
    signal?: SessionOptions["signal"],
    rollout?: SessionOptions["rollout"],
  ) {
    if (monotonicReads !== undefined && typeof monotonicReads !== "boolean")
      throw new InvalidOptionError("monotonicReads", monotonicReads, "Pass true or false");
    if (signal !== undefined && typeof signal !== "function" && !isSignal(signal))
      throw new InvalidOptionError("signal", signal, "Pass an AbortSignal, or a function that returns one");
    if (typeof rollout !== "function") membershipOf(rollout);
    this.token = token;
    this.level = level === undefined ? "session" : mergeConsistency("session", checkConsistency(level));
    this.monotonicReads = monotonicReads;
    this.seal = seal;
    this.signal = signal;
    this.rollout = rollout;
  }

  /** Throws an `InvalidOptionError` if an option does not exist or cannot be used. */
  static of(options: SessionOptions): SessionSetup {
    // The middleware passes a setup with every request. To check it again would slow down requests.
    if (options instanceof SessionSetup) return options;
    refuseUnknown("session", options, names);
    const { token, level, monotonicReads, seal, signal, rollout } = options;
    return new SessionSetup(token, level, monotonicReads, seal, signal, rollout);
  }

  /** Where the user stands in a rollout. Throws an `InvalidOptionError` if a function returns something that cannot be used. */
  membership(): Membership {
    const { rollout } = this;
    return membershipOf(typeof rollout === "function" ? rollout() : rollout);
  }

  /** The tokens that the session starts from. */
  tokens(): readonly string[] {
    const { token } = this;
    return typeof token === "function" ? token() : [token ?? []].flat();
  }
}

function isSignal(given: unknown): boolean {
  return typeof given === "object" && given !== null && "addEventListener" in given;
}

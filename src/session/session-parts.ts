/** Defines the parts that a session is made of and the types that it exposes. */
import type { Redis } from "ioredis";
import type { KeyFinder } from "../commands/touched-keys.js";
import type { Consistency, ReadOptions, ResolvedReadPolicy } from "../consistency/read-policy.js";
import type { WriteConcern } from "../consistency/write-concern.js";
import type { Statistics } from "../diagnostics/statistics.js";
import type { Position } from "../replication/position.js";
import { maxTexts, unknownWrite, unsent } from "./token.js";

/**
 * Resolves with the number of replicas that have applied everything up to `position`. The position is in `shard`, or in the shard
 * that its history belongs to. Rejects when too few replicas have applied it.
 */
export type Replicate = (
  shard: object | undefined,
  position: Position | undefined,
  wanted: WriteConcern,
) => Promise<number>;

/** An ioredis client whose commands belong to one session. */
export type SessionClient = Redis & {
  /** The same client at another level, for single calls: `redis.at("strong").get(key)`. */
  at(level: Consistency, options?: ReadOptions): SessionClient;
  /** The same client for writes that count for no session: `redis.untracked.incr("views")`. */
  readonly untracked: SessionClient;
};

/** Receives a call when a write begins. */
export interface WriteListener {
  /** `command` is the name of the command, if the name is known. */
  writeBegins(command?: string): void;
}

/** Encrypts tokens before users get them. Only the holder of the secret can make or change such a token. */
export interface Seal {
  seal(token: string): string;
  /** Undefined for anything that this object did not encrypt. */
  open(sealed: unknown): { readonly token: string } | undefined;
}

/** The parts that a session is made of. */
export interface SessionParts<Session> {
  readonly level: Consistency;
  /** Turns a level into a read policy with all defaults filled in. */
  readonly policyOf: (level: Consistency) => ResolvedReadPolicy;
  /** Unsigned tokens to start from. The session calls this once, when it first needs them. */
  readonly tokens: () => readonly string[];
  /** How long a token or a pin to the primary stays valid, in milliseconds. */
  readonly ttlMs: number;
  readonly seal?: Seal | undefined;
  /** Makes the session's client. The session calls this once, on first use. */
  readonly client: (session: Session) => SessionClient;
  /**
   * For monotonic reads: makes the session require everything that it has read so far. Returns a promise if a server must be
   * asked for the position. The promise rejects when the position cannot be found out.
   */
  readonly anchor?: ((session: Session) => Promise<void> | undefined) | undefined;
  readonly replicate?: Replicate;
  /** Finds the keys that commands touch. Without it every command may touch any key. */
  readonly keys?: KeyFinder;
  /** For how many of the latest written keys a token names the key. Default 0. */
  readonly maxKeys?: number;
  /** How many of its latest reads the session records. Default 0. */
  readonly recordReads?: number;
  /** Counts the outcomes of the session's reads and writes. */
  readonly statistics?: Statistics;
  /** Aborts waiting reads. A function is called when a read begins to wait. */
  readonly signal?: AbortSignal | (() => AbortSignal) | undefined;
}

/**
 * Decrypts the tokens in `sealed`, which are separated by commas. Only the first {@link maxTexts} are decrypted. If there are
 * more, one of the rest may be the token that counts, so the result then includes an unknown write.
 */
export function openedBy(seal: Seal, sealed: string | null | undefined): string[] {
  const texts = typeof sealed === "string" ? sealed.split(",", maxTexts + 1) : [];
  const opened = texts
    .slice(0, maxTexts)
    .flatMap((text) => (text.trim() === unsent ? unknownWrite() : (seal.open(text.trim())?.token ?? [])));
  return texts.length > maxTexts ? [...opened, unknownWrite()] : opened;
}

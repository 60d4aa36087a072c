/** What a session is made of, and what it deals in. */
import type { Redis } from "ioredis";
import type { KeyFinder } from "../commands/touched-keys.js";
import type { Consistency, ReadOptions, ResolvedReadPolicy } from "../consistency/read-policy.js";
import type { WriteConcern } from "../consistency/write-concern.js";
import type { Statistics } from "../diagnostics/statistics.js";
import type { Position } from "../replication/position.js";
import { maxTexts, unknownWrite, unsent } from "./token.js";

/**
 * Resolves with how many replicas hold what was written up to `position`, in `shard` or in that of its history, or rejects
 * when too few do.
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

/** Whoever is told that a write begins. */
export interface WriteListener {
  /** `command` is its name, where that is known. */
  writeBegins(command?: string): void;
}

/** Makes tokens fit to be handed to users: nobody else can make one, or change it. */
export interface Seal {
  seal(token: string): string;
  /** Undefined for whatever it has not sealed. */
  open(sealed: unknown): { readonly token: string } | undefined;
}

/** What a session is made of. */
export interface SessionParts<Session> {
  readonly level: Consistency;
  /** What a level means here, with all defaults in their places. */
  readonly terms: (level: Consistency) => ResolvedReadPolicy;
  /** Unsigned tokens to start from; called once, when the session first needs them. */
  readonly tokens: () => readonly string[];
  /** How long a token, and a pin to the primary, is in force. */
  readonly ttlMs: number;
  readonly seal?: Seal | undefined;
  /** Makes the session's client; called once, when it is first used. */
  readonly client: (session: Session) => SessionClient;
  /**
   * For monotonic reads: has the session require what it has read so far; a promise where that has to be asked for, which
   * rejects when it cannot be learnt.
   */
  readonly anchor?: ((session: Session) => Promise<void> | undefined) | undefined;
  readonly replicate?: Replicate;
  /** Finds what commands touch; without it every command may touch any key. */
  readonly keys?: KeyFinder;
  /** Of how many keys of the latest writes a token says which they were; default 0. */
  readonly maxKeys?: number;
  /** How many of its latest reads it keeps a record of; default 0. */
  readonly recordReads?: number;
  /** Counts what becomes of its reads and writes. */
  readonly statistics?: Statistics;
  /** Aborts what waits; a function is called when something begins to wait. */
  readonly signal?: AbortSignal | (() => AbortSignal) | undefined;
}

/** What `seal` opens of texts with commas between them. Where there are more than are opened, one may be the one that counts. */
export function openedBy(seal: Seal, sealed: string | null | undefined): string[] {
  const texts = typeof sealed === "string" ? sealed.split(",", maxTexts + 1) : [];
  const opened = texts
    .slice(0, maxTexts)
    .flatMap((text) => (text.trim() === unsent ? unknownWrite() : (seal.open(text.trim())?.token ?? [])));
  return texts.length > maxTexts ? [...opened, unknownWrite()] : opened;
}

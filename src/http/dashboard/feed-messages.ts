/**
 * Defines the messages that the page of the dashboard receives. Each is sent as a server-sent event, with the name of the message as
 * the type of the event and its JSON text as the data. No message has a key, an argument, a user or a token.
 */
import type { NodeState, Reason, RouteOutcome } from "../../diagnostics/channels.js";

export type Role = "primary" | "replica";

/** One server at the moment of a {@link Sample}. */
export interface SampledNode {
  /** `host:port`, or the path of a socket. */
  readonly address: string;
  readonly role: Role;
  readonly state: NodeState;
  readonly eligible: boolean;
  /** Why the server is not eligible, for people to read. */
  readonly reason?: string;
  /** The proven upper bound of its staleness in milliseconds. Missing if nothing is proven. */
  readonly lagMs?: number;
  /** How far it is behind the primary in bytes. Missing if the two cannot be compared. */
  readonly lagBytes?: number;
  readonly latencyMs: number;
  readonly zone?: string;
}

/** What has happened in the second before `at`. */
export interface Sample {
  /** In milliseconds since 1970. */
  readonly at: number;
  readonly nodes: readonly SampledNode[];
  /** The commands that were sent to servers, without those of which there were none. */
  readonly commands: readonly { readonly role: Role; readonly reason: Reason; readonly count: number }[];
  readonly waits: { readonly caughtUp: number; readonly timedOut: number; readonly aborted: number };
  /** `reads` and `refused` are counts. `active` and `waiting` are how many there are at the moment. */
  readonly fallback: {
    readonly reads: number;
    readonly refused: number;
    readonly active: number;
    readonly waiting: number;
  };
}

/** Something that has happened, for people to read. */
export interface Mark {
  readonly at: number;
  readonly kind: "failover" | "topology" | "warning" | "lost-write" | "late-write" | "stale-read";
  readonly text: string;
  /** What to do about it. */
  readonly advice?: string;
  /** Whether a server has left or can no longer be used. The kind of such a mark is `topology`. */
  readonly isLoss?: boolean;
}

/** One read that a server has answered, or not. */
export interface ReadLine {
  /** When it ended. */
  readonly at: number;
  /** The name of the command in lower case. */
  readonly command: string;
  readonly node: string;
  readonly role: Role;
  readonly reason: Reason;
  /** `eventual`, `session`, `bounded` or `strong`. */
  readonly level: string;
  /** From sending the read to its end, in milliseconds. */
  readonly durationMs: number;
  readonly outcome: RouteOutcome;
}

/** All messages by the type of their events. */
export interface FeedMessages {
  /** The first message after each connection: what has happened before, the oldest first. */
  readonly history: {
    readonly samples: readonly Sample[];
    readonly marks: readonly Mark[];
    readonly reads: readonly ReadLine[];
  };
  /** Once a second. */
  readonly sample: Sample;
  readonly mark: Mark;
  /** The latest reads, the oldest first, several times a second. At most a hundred at once. */
  readonly reads: readonly ReadLine[];
}

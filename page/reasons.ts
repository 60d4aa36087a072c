/** The reasons of reads in plain English, in the order in which the charts stack them. */
import type { Reason } from "../src/diagnostics/channels.js";

/** Decides the colour of a reason: who answered, or what kept replicas from answering. */
export type Family = "replica" | "app" | "session" | "lag" | "fault";

export interface ReasonText {
  readonly reason: Reason;
  readonly family: Family;
  /** Tells the reasons of one family apart without their colour: the number of the pattern. */
  readonly pattern: number;
  readonly meaning: string;
  readonly normal: "normal" | "normal if intended" | "normal if rare" | "a problem";
  readonly advice?: string;
}

const lagAdvice = "Look at the lag below. With waitMs a read waits for a replica.";

/** All reasons except `not-a-read`. */
export const reasonTexts: readonly ReasonText[] = [
  {
    reason: "known",
    family: "replica",
    pattern: 0,
    meaning: "A replica answered. It was known to have everything that the read must see.",
    normal: "normal",
  },
  {
    reason: "checked",
    family: "replica",
    pattern: 1,
    meaning: "A replica answered. It proved with an INFO that it has everything that the read must see.",
    normal: "normal",
  },
  {
    reason: "primary-gone",
    family: "fault",
    pattern: 1,
    meaning: "A replica answered without proof. The primary is gone, and staleIfPrimaryGone allows the read.",
    normal: "a problem",
    advice: "Bring the primary back.",
  },
  {
    reason: "unproven",
    family: "fault",
    pattern: 2,
    meaning: 'A replica answered without proof at level "eventual". The primary is gone or is a proxy.',
    normal: "a problem",
    advice: "Bring the primary back. With a proxy this is expected.",
  },
  {
    reason: "strong",
    family: "app",
    pattern: 0,
    meaning: 'The level is "strong", so only the primary may answer.',
    normal: "normal",
  },
  {
    reason: "not-live",
    family: "app",
    pattern: 2,
    meaning: 'The mode is not "live", or the rollout has not reached the user.',
    normal: "normal",
  },
  {
    reason: "no-session",
    family: "app",
    pattern: 1,
    meaning: "The read belongs to no session.",
    normal: "normal if intended",
    advice: "To read from replicas, use req.redis, or call tidemark.redis inside a request or tidemark.run.",
  },
  {
    reason: "write-in-flight",
    family: "session",
    pattern: 0,
    meaning: "A write of the session has no answer yet, and the read must see this write.",
    normal: "normal",
    advice: "If the read need not see the write, make the write untracked or give its keys a scope.",
  },
  {
    reason: "missing-key",
    family: "session",
    pattern: 1,
    meaning: "A replica did not have the key, and the primary must confirm that the key is missing.",
    normal: "normal",
  },
  {
    reason: "asked",
    family: "session",
    pattern: 2,
    meaning: "The key is being moved to another shard of the cluster.",
    normal: "normal if rare",
    advice: "Wait until the slot has moved.",
  },
  {
    reason: "position-unknown",
    family: "session",
    pattern: 3,
    meaning: "The position of one of the session's writes is not known.",
    normal: "normal if rare",
    advice:
      "Right after an outage of the primary, wait until the tokens expire. " +
      "If it lasts, look for the warnings TIDEMARK_POSITION_UNKNOWN and TIDEMARK_PROXY.",
  },
  {
    reason: "behind",
    family: "lag",
    pattern: 0,
    meaning: "No replica is proven, or is likely, to have the data that the read must see.",
    normal: "normal if rare",
    advice: lagAdvice,
  },
  {
    reason: "read-ahead",
    family: "lag",
    pattern: 1,
    meaning: "The session has read newer data than the replicas are proven to have.",
    normal: "normal if rare",
    advice: lagAdvice,
  },
  {
    reason: "check-failed",
    family: "lag",
    pattern: 2,
    meaning: "A replica was tried and was behind. Its answer was discarded.",
    normal: "normal if rare",
    advice: "Look at the lag below.",
  },
  {
    reason: "starting",
    family: "lag",
    pattern: 3,
    meaning: "Nothing recent is known of the replicas, because the process has just started or was idle.",
    normal: "normal if rare",
    advice: "Wait a moment.",
  },
  {
    reason: "replica-failed",
    family: "fault",
    pattern: 0,
    meaning: "A replica was tried and gave no usable answer.",
    normal: "a problem",
    advice: "Look at the replica's state, log and network.",
  },
  {
    reason: "unusable",
    family: "fault",
    pattern: 3,
    meaning: "No replica may answer reads.",
    normal: "a problem",
    advice: "Look at the states of the servers.",
  },
  {
    reason: "no-replica",
    family: "fault",
    pattern: 4,
    meaning: "There is no replica, or all have weight 0.",
    normal: "a problem",
    advice: "Compare the servers with the replicas that you expect.",
  },
];

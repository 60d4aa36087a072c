/** Says in one line whether Tidemark works. */
import type { Sample, SampledNode } from "../src/http/dashboard/feed-messages.js";
import { stateTexts } from "./node-states.js";
import { percent } from "./quantities.js";
import { readCounts, replicaShare, totalOf } from "./read-counts.js";
import { reasonTexts } from "./reasons.js";

export interface Verdict {
  readonly level: "unknown" | "good" | "warn" | "bad";
  readonly text: string;
  /** How many reads replicas answer. It changes often, so it is not part of what screen readers announce. */
  readonly share: string;
}

/** Below this share the verdict also says why. */
const lowShare = 0.5;

/** The verdict on the last of `samples`, which are of the last minute. */
export function verdictOf(samples: readonly Sample[]): Verdict {
  const latest = samples.at(-1);
  if (latest === undefined || latest.nodes.length === 0)
    return { level: "unknown", text: "There is no data yet.", share: "" };
  return { ...judge(latest.nodes), share: shareOf(samples) };
}

function judge(nodes: readonly SampledNode[]): Pick<Verdict, "level" | "text"> {
  const primaries = nodes.filter(({ role }) => role === "primary");
  const gone = primaries.filter(({ state }) => state !== "serving");
  if (gone.length > 0) return primariesGone(gone, primaries.length);
  // A replica of weight 0 is not used because the options say so.
  const replicas = nodes.filter(({ role, state }) => role === "replica" && state !== "excluded");
  if (replicas.length === 0)
    return { level: "warn", text: "There is no replica. The primary answers all reads." };
  const unused = replicas.filter(({ eligible }) => !eligible);
  if (unused.length === 0)
    return { level: "good", text: replicas.length === 1 ? "The replica serves." : "All replicas serve." };
  if (unused.length < replicas.length) {
    const verb = unused.length === 1 ? "is" : "are";
    return {
      level: "warn",
      text: `${unused.length} of ${replicas.length} replicas ${verb} not used: ${named(unused)}.`,
    };
  }
  const isStarting = unused.every(({ state }) => state === "starting");
  return { level: isStarting ? "warn" : "bad", text: `No replica is used: ${named(unused)}.` };
}

function primariesGone(gone: readonly SampledNode[], all: number): Pick<Verdict, "level" | "text"> {
  const level = gone.every(({ state }) => state === "starting") ? "warn" : "bad";
  if (all > 1) return { level, text: `${gone.length} of ${all} primaries cannot be used: ${named(gone)}.` };
  const isGone = gone.some(({ state }) => state === "silent");
  return { level, text: `The primary ${isGone ? "is gone" : "cannot be used"}: ${named(gone)}.` };
}

/** Names the first server only, because the table shows them all. */
function named([first, ...more]: readonly SampledNode[]): string {
  if (first === undefined) return "";
  const clause = `${first.address} ${stateTexts[first.state].phrase}`;
  return more.length === 0 ? clause : `${clause}, and ${more.length} more`;
}

function shareOf(samples: readonly Sample[]): string {
  const counts = readCounts(samples);
  const share = replicaShare(counts);
  if (share === undefined) return "No reads in the last minute.";
  const answered = `Replicas answer ${percent(share)} of reads.`;
  if (share >= lowShare) return answered;
  const others = reasonTexts.filter(({ reason }) => reason !== "known" && reason !== "checked");
  const ofReason = ({ reason }: (typeof others)[number]) => counts.get(reason) ?? 0;
  const [most] = others.toSorted((one, other) => ofReason(other) - ofReason(one));
  if (most === undefined || ofReason(most) < totalOf(counts) / 4) return answered;
  return `${answered} Most often the reason is ${most.reason}.`;
}

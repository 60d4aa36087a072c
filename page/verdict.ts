/** Says in one line whether Tidemark works. */
import type { Sample, SampledNode } from "../src/http/dashboard/feed-messages.js";
import { stateTexts } from "./node-states.js";
import { percent } from "./quantities.js";
import { readCounts, replicaShare, totalOf } from "./read-counts.js";
import { reasonTexts } from "./reasons.js";

export interface Verdict {
  readonly level: "unknown" | "good" | "warn" | "bad";
  readonly text: string;
  /** How many reads replicas have answered. Empty if the text makes it misleading. It changes often, so it is not part of what screen readers announce. */
  readonly share: string;
}

/** Below this share the verdict also says why. */
const lowShare = 0.5;

const minuteMs = 60_000;

/** The verdict on the last of `samples`, which are of the last five minutes. */
export function verdictOf(samples: readonly Sample[]): Verdict {
  const latest = samples.at(-1);
  if (latest === undefined || latest.nodes.length === 0)
    return { level: "unknown", text: "There is no data yet.", share: "" };
  const share = shareOf(samples.filter(({ at }) => at > latest.at - minuteMs));
  return { share, ...judge(latest.nodes, leftServers(samples, latest)) };
}

/** Has an empty `share` if the share of the last minute would contradict the text, which is about now. */
type Judgment = Pick<Verdict, "level" | "text"> & { readonly share?: "" };

/** The servers that have been used and are not known any more. */
function leftServers(samples: readonly Sample[], { nodes }: Sample): readonly SampledNode[] {
  const used = samples.flatMap((sample) => sample.nodes.filter(({ eligible }) => eligible));
  const left = new Map(used.map((node) => [node.address, node]));
  for (const { address } of nodes) left.delete(address);
  return [...left.values()];
}

function judge(nodes: readonly SampledNode[], left: readonly SampledNode[]): Judgment {
  const primaries = nodes.filter(({ role }) => role === "primary");
  const gone = primaries.filter(({ state }) => state !== "serving");
  if (gone.length > 0) return primariesGone(gone, primaries.length);
  // A replica of weight 0 is not used because the options say so.
  const replicas = nodes.filter(({ role, state }) => role === "replica" && state !== "excluded");
  if (replicas.length === 0)
    return {
      level: "warn",
      text: `There is no replica. ${leftText(left)}The primary answers all reads.`,
      share: "",
    };
  const unused = replicas.filter(({ eligible }) => !eligible);
  if (unused.length > 0) return someUnused(unused, replicas);
  if (left.length > 0)
    return {
      level: "warn",
      text: `${leftText(left)}All others serve.`,
    };
  return { level: "good", text: replicas.length === 1 ? "The replica serves." : "All replicas serve." };
}

function someUnused(unused: readonly SampledNode[], replicas: readonly SampledNode[]): Judgment {
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

/** Ends with a space unless it is empty. */
function leftText(left: readonly SampledNode[]): string {
  if (left.length === 0) return "";
  const noun = left.every(({ role }) => role === "replica") ? "replica" : "server";
  const subject = left.length === 1 ? `1 ${noun} has` : `${left.length} ${noun}s have`;
  return `${subject} left in the last five minutes. `;
}

function primariesGone(gone: readonly SampledNode[], all: number): Judgment {
  const isStarting = gone.every(({ state }) => state === "starting");
  const level = isStarting ? "warn" : "bad";
  if (all > 1) {
    const what = `${gone.length} of ${all} primaries cannot be used: ${named(gone)}.`;
    return { level, text: isStarting ? what : `${what} Writes to their keys fail.` };
  }
  const isGone = gone.some(({ state }) => state === "silent");
  const what = `The primary ${isGone ? "is gone" : "cannot be used"}: ${named(gone)}.`;
  const effect = "Writes fail. Replicas answer only reads that they can still prove.";
  return { level, text: isStarting ? what : `${what} ${effect}`, share: "" };
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
  const answered = `Replicas answered ${percent(share)} of reads in the last minute.`;
  if (share >= lowShare) return answered;
  const others = reasonTexts.filter(({ reason }) => reason !== "known" && reason !== "checked");
  const ofReason = ({ reason }: (typeof others)[number]) => counts.get(reason) ?? 0;
  const [most] = others.toSorted((one, other) => ofReason(other) - ofReason(one));
  if (most === undefined || ofReason(most) < totalOf(counts) / 4) return answered;
  return `${answered} Most often the reason was ${most.reason}.`;
}

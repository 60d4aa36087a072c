/** Which node a read goes to, and why: here is decided what a replica may answer. */
import type { Reason } from "./channels.js";
import type { Iteration } from "./iteration.js";
import type { Level } from "./level.js";
import type { Node } from "./node.js";
import type { Session } from "./session.js";
import type { Requirement, Shard } from "./shard.js";

/** A read, as far as it decides who may answer. */
export interface Question {
  readonly shard: Shard;
  readonly session: Session;
  readonly level: Level;
  readonly requirement: Requirement;
  /** The iteration it is a step of: once begun, only its node may answer, which is in order with itself. */
  readonly iteration: Iteration | undefined;
}

/** The node a read goes to, undefined for the primary, and the reason. */
export type Choice =
  | { readonly node: Node; readonly reason: "known" | "checked" }
  | { readonly node: undefined; readonly reason: Reason };

/**
 * The reason why no replica may answer, whatever it has applied; undefined when one may. Beside a write that is not
 * settled a read may still keep to its replica when it can go nowhere else: it owes that write nothing yet.
 */
export function primaryOnly(
  shard: Shard,
  session: Session,
  level: Level,
  mayMove: boolean,
): Reason | undefined {
  if (level === "strong") return "strong";
  if (shard.replicas.length === 0) return "no-replica";
  if (level === "eventual") return undefined;
  if (session.writing && mayMove) return "write-in-flight";
  if (session.pinned) return "position-unknown";
  return undefined;
}

/** What a replica has to prove; at level eventual only its health, else also all that the session requires. */
export function requirementOf(
  shard: Shard,
  session: Session,
  level: Level,
  maxStalenessMs: number,
): Requirement {
  if (level === "eventual") return { positions: [], maxStalenessMs };
  const { latest } = shard.history;
  if (latest !== undefined) session.anchor(latest.at, latest.position);
  const bound = typeof level === "object" ? level.maxStalenessMs : Number.POSITIVE_INFINITY;
  return { positions: session.positions, maxStalenessMs: Math.min(bound, maxStalenessMs) };
}

/** The replica a read goes to: one known to cover it, else one that will probably prove it; undefined when neither is. */
export function chooseReplica(question: Question, now: number): Choice | undefined {
  question.shard.refresh(question.requirement.maxStalenessMs, now);
  const known = knownReplica(question, now);
  if (known !== undefined) return { node: known, reason: "known" };
  const { shard, requirement, session } = question;
  const likely = best(
    question,
    (node) => shard.isWorthATry(node, requirement, session.issuedAt, now),
    (node) => node.lag.ms,
  );
  return likely && { node: likely, reason: "checked" };
}

/** The least busy replica that is known to cover the read. */
export function knownReplica(question: Question, now: number): Node | undefined {
  const { shard, requirement } = question;
  return best(
    question,
    (node) => shard.knownObjection(node, requirement, now) === undefined,
    (node) => node.connection.inFlight,
  );
}

/** Of the replicas that would not take the session back in time and may answer: the one with the least cost. */
function best(
  { shard, session, level, iteration }: Question,
  mayAnswer: (node: Node) => boolean,
  cost: (node: Node) => number,
): Node | undefined {
  const { replicas } = shard;
  const only = iteration?.node;
  const first = Math.floor(Math.random() * replicas.length);
  let best: Node | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < replicas.length; i++) {
    const node = replicas[(first + i) % replicas.length];
    if (node === undefined || (only !== undefined && node !== only)) continue;
    if (only === undefined && level !== "eventual" && !session.mayReadFrom(node.link)) continue;
    if (!mayAnswer(node) || cost(node) >= least) continue;
    best = node;
    least = cost(node);
  }
  return best;
}

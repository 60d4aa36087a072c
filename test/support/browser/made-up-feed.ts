/** A feed that nobody measured, for deployments that are too large or too odd to start in a test of the layout. */
import type {
  FeedMessages,
  Mark,
  ReadLine,
  Sample,
  SampledNode,
} from "../../../src/http/dashboard/feed-messages.js";

const seconds = 300;
const end = Date.UTC(2026, 0, 2, 12);

/** Shards of one primary and its replicas. The `unused` last replicas have lost their primary. */
export interface Shape {
  readonly shards: number;
  readonly replicas: number;
  readonly unused?: number;
  readonly nameOf?: (shard: number, server: number) => string;
}

/** Five minutes of a deployment with all reasons, marks and outcomes. */
export function madeUpHistory(shape: Shape): FeedMessages["history"] {
  const samples = Array.from({ length: seconds }, (_, second) => sampleAt(second, shape));
  return { samples, marks: madeUpMarks(), reads: madeUpReads(samples.at(-1)?.nodes ?? []) };
}

function sampleAt(second: number, { shards, replicas, unused = 0, nameOf = plainName }: Shape): Sample {
  const all = shards * replicas;
  const nodes = Array.from({ length: shards }, (_, shard): SampledNode[] => [
    {
      address: nameOf(shard, 0),
      role: "primary",
      state: "serving",
      eligible: true,
      lagMs: 0,
      lagBytes: 0,
      latencyMs: 0.4,
    },
    ...Array.from({ length: replicas }, (_, index): SampledNode => {
      const number = shard * replicas + index;
      const address = nameOf(shard, index + 1);
      const isUnused = second > 200 && number >= all - unused;
      const wave = 1 + Math.sin((second + 17 * number) / 20);
      const base = {
        address,
        role: "replica",
        latencyMs: 0.3 + wave,
        zone: `eu-1${"abc".charAt(index)}`,
      } as const;
      if (!isUnused)
        return {
          ...base,
          state: "serving",
          eligible: true,
          lagMs: 8 + wave * 9 * (number % 5),
          lagBytes: Math.round(wave * 900),
        };
      return {
        ...base,
        state: "link-down",
        eligible: false,
        reason: `its link to its primary ${nameOf(shard, 0)} is down`,
      };
    }),
  ]).flat();
  const isBad = second > 200;
  const reads = Math.round(300 + 120 * Math.sin(second / 30));
  return {
    at: end - (seconds - 1 - second) * 1_000,
    nodes,
    commands: [
      { role: "replica", reason: "known", count: isBad ? Math.round(reads / 2) : reads },
      { role: "replica", reason: "checked", count: Math.round(reads / 5) },
      { role: "primary", reason: "strong", count: 12 },
      { role: "primary", reason: "no-session", count: 7 },
      { role: "primary", reason: "write-in-flight", count: 9 },
      { role: "primary", reason: "missing-key", count: 5 },
      { role: "primary", reason: "position-unknown", count: second === 100 ? 3 : 0 },
      { role: "primary", reason: "behind", count: isBad ? Math.round(reads / 3) : 11 },
      { role: "primary", reason: "check-failed", count: 6 },
      { role: "primary", reason: "replica-failed", count: second === 201 ? 40 : 0 },
      { role: "primary", reason: "not-a-read", count: 80 },
    ],
    waits: { caughtUp: second % 40 === 0 ? 3 : 0, timedOut: second % 90 === 0 ? 1 : 0, aborted: 0 },
    fallback: {
      reads: isBad ? 35 : 0,
      refused: second > 230 && second < 240 ? 4 : 0,
      active: isBad ? 8 : 0,
      waiting: isBad ? 3 : 0,
    },
  };
}

function plainName(shard: number, server: number): string {
  return `10.0.${shard}.${10 + server}:6379`;
}

function madeUpMarks(): Mark[] {
  return [
    { at: end - 250_000, kind: "failover", text: "10.0.0.11:6379 is the primary now. It was a replica." },
    {
      at: end - 249_000,
      kind: "lost-write",
      text: "A failover has lost the last writes of a session, 312 bytes behind the new primary.",
    },
    {
      at: end - 99_000,
      kind: "topology",
      text: "10.0.0.12:6379 is link-down: its link to its primary 10.0.0.10:6379 is down.",
      isLoss: true,
    },
    {
      at: end - 98_000,
      kind: "warning",
      text: "Replica 10.0.0.12:6379 answers no reads: its link to its primary is down.",
      advice: "Check its log, its network and the password that it sends to its primary.",
    },
    {
      at: end - 60_000,
      kind: "late-write",
      text: "POST /orders wrote to Redis after its response headers were sent (12 times).",
    },
    { at: end - 30_000, kind: "stale-read", text: "10.0.0.11:6379 answered 4 reads without proof." },
  ];
}

function madeUpReads(nodes: readonly SampledNode[]): ReadLine[] {
  const kinds = [
    { command: "hgetall", reason: "known", role: "replica", outcome: "answered" },
    { command: "get", reason: "known", role: "replica", outcome: "answered" },
    { command: "mget", reason: "checked", role: "replica", outcome: "discarded" },
    { command: "get", reason: "check-failed", role: "primary", outcome: "answered" },
    { command: "zrangebyscore", reason: "write-in-flight", role: "primary", outcome: "answered" },
    { command: "get", reason: "replica-failed", role: "primary", outcome: "failed" },
  ] as const;
  return Array.from({ length: 100 }, (_, index) => {
    const kind = kinds[index % kinds.length] ?? kinds[0];
    const node = nodes.find(({ role }) => role === kind.role)?.address ?? "";
    return {
      at: end - (100 - index) * 40,
      node,
      level: "session",
      durationMs: 0.3 + (index % 7) * 0.9,
      ...kind,
    };
  });
}

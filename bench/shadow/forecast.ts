/** Compares the forecast of the mode "shadow" with what the same load meets in the mode "live", and on replicas picked at random. */
import { seeded } from "../../test/support/load/seeded.js";
import { fickleLag } from "../../test/support/proxies/fickle-lag.js";
import {
  type ReplicationGroup,
  startReplicationGroup,
} from "../../test/support/servers/replication-group.js";
import { shuffled } from "../client/shuffled.js";
import { type Figure, figureOf, type Goal, type Table } from "../report/section.js";
import { Worker } from "../report/worker.js";
import { countReads, loadOf, users } from "./load.js";
import type { Kind, LivePlay, Play, RandomPlay, ShadowPlay } from "./player.js";

const samples = [1, 0.1] as const;
type Sample = (typeof samples)[number];
const allRounds = 20;
const forMs = 5_000;
const loadSeed = 7;
const lag = { upToMs: 200, everyMs: 150, held: 0.2 };
/** Reads that replicas could not have answered anyway, whatever they had applied. */
const unroutable = new Set(["strong", "not-live", "no-session", "not-a-read", "asked"]);
const ofReplicas = new Set(["known", "checked", "primary-gone", "unproven"]);

interface Round {
  readonly live: LivePlay;
  readonly random: RandomPlay;
  readonly shadows: ReadonlyMap<Sample, ShadowPlay>;
}

export async function measureForecasts(scale: number): Promise<{ tables: Table[]; goals: Goal[] }> {
  await using group = await startReplicationGroup({ replicas: 2 });
  using player = new Worker(new URL("./player.js", import.meta.url));
  const replicas = group.replicas.map(({ server }) => server.url);
  await player.ask({ primary: group.primary.url, replicas });
  const random = seeded(1);
  const rounds: Round[] = [];
  for (let round = 0; round < Math.max(2, allRounds * scale); round += 1)
    rounds.push(await takeRound(group, player, round, random));
  return {
    tables: [liveTable(rounds), randomTable(rounds), reasonTable(rounds)],
    goals: goalsOf(rounds),
  };
}

async function takeRound(
  group: ReplicationGroup,
  player: Worker,
  round: number,
  random: () => number,
): Promise<Round> {
  const play = async <Outcome>(kind: Kind): Promise<Outcome> => {
    const links = group.replicas.map(({ link }) => link);
    await using _lag = fickleLag(links, { ...lag, random: seeded(1_000 + round) });
    const asked: Play = { kind, seed: loadSeed, forMs, name: `${round}:${kind}` };
    return await player.ask<Outcome>(asked);
  };
  const plays: Record<string, () => Promise<unknown>> = {
    live: () => play<LivePlay>("live"),
    random: () => play<RandomPlay>("random"),
    ...Object.fromEntries(samples.map((sample) => [sample, () => play<ShadowPlay>(`shadow ${sample}`)])),
  };
  const outcomes = new Map<string, unknown>();
  for (const [name, run] of shuffled(Object.entries(plays), random)) {
    outcomes.set(name, await run());
    await group.caughtUp();
  }
  return {
    live: outcomes.get("live") as LivePlay,
    random: outcomes.get("random") as RandomPlay,
    shadows: new Map(samples.map((sample) => [sample, outcomes.get(String(sample)) as ShadowPlay])),
  };
}

/** The share of the reads that the primary answered, as `live.primaryShare` of the rule `stopWhen` has it. */
function primaryShareOf({ sent }: LivePlay): number {
  const sides = { primary: 0, replica: 0 };
  for (const [reason, count] of Object.entries(sent)) {
    if (unroutable.has(reason)) continue;
    sides[ofReplicas.has(reason) ? "replica" : "primary"] += count;
    if (reason === "check-failed" || reason === "replica-failed") sides.replica -= count;
  }
  return sides.primary / (sides.primary + sides.replica);
}

function routableOf({ sent }: LivePlay): number {
  const repeated = (sent["check-failed"] ?? 0) + (sent["replica-failed"] ?? 0);
  const all = Object.entries(sent).reduce(
    (sum, [reason, count]) => sum + (unroutable.has(reason) ? 0 : count),
    0,
  );
  return all - repeated;
}

function shadowOf({ shadows }: Round, sample: Sample): ShadowPlay {
  const shadow = shadows.get(sample);
  if (shadow === undefined) throw new Error(`nothing was measured with the sample ${sample}`);
  return shadow;
}

function isLiveWithin(round: Round, sample: Sample): boolean {
  const { low, high } = shadowOf(round, sample).tidemark.primaryShare;
  const share = primaryShareOf(round.live);
  return low <= share && share <= high;
}

function isMissedWithin(round: Round, sample: Sample): boolean {
  const { atLeast, atMost } = shadowOf(round, sample).random.missedOwnWrite;
  const share = missedShareOf(round);
  return atLeast.low <= share && share <= atMost.high;
}

function missedShareOf({ random }: Round): number {
  return random.missed / random.reads;
}

const percent = (share: number): number => 100 * share;
const interval = (median: number, least: number, most: number): Figure => ({
  median: percent(median),
  least: percent(least),
  most: percent(most),
});
const verdict = (isWithin: boolean): string => (isWithin ? "yes" : "**no**");

function how(): string {
  const { reads, requiring } = countReads(loadOf(loadSeed, forMs));
  return (
    `The same recorded load of ${users} users is played ${samples.length + 2} times in a round, in a random order: in the mode \`"live"\`, in the ` +
    `mode \`"shadow"\` with \`shadowSample\` at ${samples.join(" and ")}, and with a client that reads from a replica picked at random. A play takes ` +
    `${forMs / 1_000} seconds. It has ${reads} reads, and ${requiring} of these read a key that their user has written before. Users wait 5 ms to 3 s ` +
    `between requests. Both replicas lag by up to ${lag.upToMs} ms, and are held back for longer at times. Within a round, the lag changes the same way in each play. ` +
    "Brackets hold the interval of 95 % of the forecast."
  );
}

function liveTable(rounds: readonly Round[]): Table {
  return {
    title: "Forecast of the primary's share",
    how: `${how()} The second column is the share of the reads that the primary answered in the mode \`"live"\`, in %.`,
    columns: [
      "round",
      "live, %",
      ...samples.flatMap((sample) => [`forecast, sample ${sample}`, "unknown, %", "within"]),
    ],
    rows: rounds.map((round, i) => [
      String(i + 1),
      percent(primaryShareOf(round.live)),
      ...samples.flatMap((sample) => {
        const { value, low, high } = shadowOf(round, sample).tidemark.primaryShare;
        const unknown = percent(shadowOf(round, sample).tidemark.unknown);
        return [interval(value, low, high), unknown, verdict(isLiveWithin(round, sample))];
      }),
    ]),
  };
}

function randomTable(rounds: readonly Round[]): Table {
  return {
    title: "Forecast of missed own writes",
    how:
      "From the same plays. The second column is the share of the reads from a replica picked at random that returned an older value than their user had " +
      "written, in %. Reads that were given while a write of their request was in flight are left out. The forecasts are the shares of missed writes by value and by position. The brackets reach from the low " +
      "end of the first to the high end of the second.",
    columns: [
      "round",
      "missed, %",
      ...samples.flatMap((sample) => [`by value, sample ${sample}`, "by position", "within"]),
    ],
    rows: rounds.map((round, i) => [
      String(i + 1),
      percent(missedShareOf(round)),
      ...samples.flatMap((sample) => {
        const { atLeast, atMost } = shadowOf(round, sample).random.missedOwnWrite;
        return [
          interval(atLeast.value, atLeast.low, atLeast.high),
          interval(atMost.value, atMost.low, atMost.high),
          verdict(isMissedWithin(round, sample)),
        ];
      }),
    ]),
  };
}

function reasonTable(rounds: readonly Round[]): Table {
  const reasons = new Set(rounds.flatMap(({ live }) => Object.keys(live.sent)));
  const shares = [...reasons]
    .filter((reason) => !unroutable.has(reason))
    .map((reason) => {
      const figure = figureOf(rounds.map(({ live }) => percent((live.sent[reason] ?? 0) / routableOf(live))));
      return [`live: ${reason}`, figure] as const;
    });
  const sampled = samples.flatMap((sample): (readonly [string, Figure])[] => {
    const of = (what: (play: ShadowPlay) => number): Figure =>
      figureOf(rounds.map((round) => percent(what(shadowOf(round, sample)))));
    return [
      [`sample ${sample}: reads observed`, of(({ counts }) => counts.observed / counts.reads)],
      [`sample ${sample}: a replica was asked`, of(({ counts }) => counts.asked / counts.observed)],
      [`sample ${sample}: unknown`, of(({ tidemark }) => tidemark.unknown)],
    ];
  });
  const differences = samples.map((sample): readonly [string, Figure] => [
    `sample ${sample}: forecast minus live, in points`,
    figureOf(
      rounds.map((round) =>
        percent(shadowOf(round, sample).tidemark.primaryShare.value - primaryShareOf(round.live)),
      ),
    ),
  ]);
  return {
    title: "Reasons",
    how: "From the same plays, as shares of the reads in %. A read whose answer from a replica was discarded counts for `checked` and again for `check-failed`. Each cell is the median of all rounds, with minimum and maximum in brackets.",
    columns: ["", "%"],
    rows: [...shares, ...sampled, ...differences],
  };
}

function goalsOf(rounds: readonly Round[]): Goal[] {
  const limit = 95;
  const shareOf = (isWithin: (round: Round) => boolean): Figure =>
    figureOf([percent(rounds.filter(isWithin).length / rounds.length)]);
  return samples.flatMap((sample): Goal[] => [
    {
      what: `rounds in which the primary's share lies within the forecast, sample ${sample}, %`,
      limit,
      is: "at least",
      measured: shareOf((round) => isLiveWithin(round, sample)),
    },
    {
      what: `rounds in which the missed own writes lie within the forecast, sample ${sample}, %`,
      limit,
      is: "at least",
      measured: shareOf((round) => isMissedWithin(round, sample)),
    },
  ]);
}

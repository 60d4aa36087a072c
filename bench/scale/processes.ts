/** How often many app processes ask their servers, measured with a few and continued to many. */
import type { RedisServer } from "../../test/support/servers/redis-server.js";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { type Figure, figureOf, type Table } from "../report/section.js";
import type { Load } from "./app.js";
import { Apps } from "./apps.js";
import { countInfos, countInfosUnder, meanOf } from "./info-calls.js";
import { fitted, type Line } from "./line.js";

const processCounts = [1, 4, 8];
const modelled = [8, 100, 1_000];
const rounds = 3;
const replicas = 2;
const turnMs = 500;
/** How often a server is asked in turn, to learn what that costs it. */
const infos = 1_000;
/** With 5 % of them writes one each 125 ms, as replicas are asked, so that every turn counts as many. */
const perSecond = 160;
const loads = [
  { name: `${perSecond} reads/s each`, writeShare: 0 },
  { name: `${perSecond}/s each, 5 % writes`, writeShare: 0.05 },
];

interface Rates {
  readonly primary: number;
  readonly replica: number;
}

/** Of one load: round by round, in the order of `processCounts`. */
type Rounds = readonly (readonly Rates[])[];

export async function measureProcesses(scale: number): Promise<Table[]> {
  await using group = await startReplicationGroup({ replicas });
  const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
  using processes = new Apps();
  const options = { primary: group.primary.url, replicas: servers.slice(1).map(({ url }) => url) };
  const most = Math.max(...processCounts);
  const apps = await Promise.all(Array.from({ length: most }, () => processes.start({ options })));
  const idle: Rates[] = [];
  const measured = new Map<string, Rates[][]>(loads.map(({ name }) => [name, []]));
  const infoUs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    infoUs.push(await cpuOfInfo(group.primary, Math.ceil(infos * scale)));
    const forMs = turnMs * scale;
    idle.push(ratesOf(await countInfos(servers, forMs)));
    for (const { name, writeShare } of loads) {
      const load: Load = { perSecond, writeShare, forMs };
      const rates: Rates[] = [];
      for (const count of processCounts) {
        const { perSecond } = await countInfosUnder(load, apps.slice(0, count), servers);
        rates.push(ratesOf(perSecond));
      }
      measured.get(name)?.push(rates);
    }
  }
  return [tableOf(idle, measured), modelOf(measured, infoUs)];
}

function ratesOf([primary = Number.NaN, ...others]: readonly number[]): Rates {
  return { primary, replica: meanOf(others) };
}

/** All that an INFO costs the server which comes alone, in µs of its CPU. */
async function cpuOfInfo(server: RedisServer, count: number): Promise<number> {
  const used = async (): Promise<number> => {
    const { used_cpu_user: user, used_cpu_sys: system } = await server.info("cpu");
    return (Number(user) + Number(system)) * 1e6;
  };
  const before = await used();
  for (let i = 0; i < count; i++) await server.admin().info("replication");
  return ((await used()) - before) / count;
}

function tableOf(idle: readonly Rates[], measured: ReadonlyMap<string, Rounds>): Table {
  const row = (name: string, count: number, all: readonly (Rates | undefined)[]): Table["rows"][number] => {
    const of = (what: keyof Rates): Figure => figureOf(all.map((rates) => rates?.[what] ?? Number.NaN));
    return [name, count, of("primary"), of("replica")];
  };
  const working = [...measured].flatMap(([name, all]) =>
    processCounts.map((count, i) =>
      row(
        name,
        count,
        all.map((rates) => rates[i]),
      ),
    ),
  );
  const rows = [row("idle", Math.max(...processCounts), idle), ...working];
  return {
    title: "App processes",
    how:
      `Measured with as many real processes as the second column says. Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. ` +
      `There are ${replicas} replicas. Each process asks the replicas for their positions while it is sending reads.`,
    columns: ["", "processes", "INFO/s, primary", "INFO/s, a replica"],
    rows,
  };
}

function modelOf(measured: ReadonlyMap<string, Rounds>, infoUs: readonly number[]): Table {
  const rows = [...measured].flatMap(([name, all]) => {
    const lines = (what: keyof Rates): Line[] =>
      all.map((rates) => fitted(rates.map((rate, i) => [processCounts[i] ?? Number.NaN, rate[what]])));
    const [primary, replica] = [lines("primary"), lines("replica")];
    return modelled.map((count): (string | number | Figure)[] => {
      const at = (all: readonly Line[]): number[] => all.map((line) => line(count));
      const share = (rates: readonly number[]): Figure =>
        figureOf(rates.map((rate, round) => (rate * (infoUs[round] ?? Number.NaN)) / 1e4));
      const [onPrimary, onReplica] = [at(primary), at(replica)];
      return [name, count, figureOf(onPrimary), share(onPrimary), figureOf(onReplica), share(onReplica)];
    });
  });
  const { median } = figureOf(infoUs);
  return {
    title: "A model of more app processes",
    how:
      "Calculated, not measured. INFO/s are on the straight line that fits the table above best. The share of a core is INFO/s " +
      `times the CPU that a server needs for a single INFO (${median.toFixed(1)} µs, measured in the same run).`,
    columns: ["", "processes", "INFO/s, primary", "% of a core", "INFO/s, a replica", "% of a core"],
    rows,
  };
}

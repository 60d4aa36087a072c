/** The alert rules on a real Prometheus, which scrapes apps with traffic while their servers have faults. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { ScrapedApp, type Traffic } from "../support/http/scraped-app.js";
import { ClockProxy } from "../support/proxies/clock-proxy.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { findPrometheus, Prometheus } from "../support/servers/prometheus.js";
import { RedisServer } from "../support/servers/redis-server.js";
import {
  caughtUp,
  type ReplicationGroup,
  startReplicationGroup,
} from "../support/servers/replication-group.js";
import { alertRules, dashboardQueries } from "../support/sources/grafana-files.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const program = await findPrometheus();
if (program === undefined) process.stderr.write("no Prometheus here: alerts are not tried on faults\n");

/** Rules are so many times faster here than in production: two minutes become four seconds. */
const haste = 30;
/** As often as every 30 seconds in production. */
const scrapeMs = 1_000;
const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function hastened(rules: string): string {
  return rules.replaceAll(
    /\b(\d+)([smhd])\b/g,
    (_, count, unit) => `${Math.round((Number(count) * (unitMs[unit] ?? 0)) / haste)}ms`,
  );
}

/** More scrapes than the longest `for` and the longest `rate()` of the rules take together. */
const scrapesToFire = 24;
/** More evaluations of shares than an alert about them takes to fire, because it compares with their median. */
const usualShares = 16;

/** An app, watched as a job of Prometheus. */
interface Scene {
  readonly open: () => Tidemark;
  readonly traffic?: Traffic;
  /** The fault, once everything works. */
  readonly strike?: (app: ScrapedApp) => Promise<unknown>;
  /** All alerts that fire. */
  readonly alerts: readonly string[];
}

const own: Traffic = { reads: "own" };
const others: Traffic = { reads: "others" };
/** For replicas that are held and must not count as too far behind. */
const patient = { maxStalenessMs: 600_000, tokenTtlMs: 1_200_000 } as const;

const replicaCounts = {
  ...{ well: 2, held: 1, halved: 2, bare: 2, headless: 1, losing: 1, lagging: 1, turned: 2, strayed: 1 },
} as const;
type GroupName = keyof typeof replicaCounts;
const groups = new Map<GroupName, ReplicationGroup>();
let clock: ClockProxy;
let stranger: RedisServer;
let prometheus: Prometheus;
const apps = new Map<string, ScrapedApp>();

function groupOf(name: GroupName): ReplicationGroup {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`the group ${name} has not started`);
  return group;
}

const as = (username: string): { redis: { username: string; password: string } } => ({
  redis: { username, password: "secret" },
});

const inNormalLife: Readonly<Record<string, Scene>> = {
  "an app with traffic": {
    open: () => openTidemark(groupOf("well")),
    traffic: others,
    strike: (app) => app.ask("POST", "/unawaited"),
    alerts: [],
  },
  "an app without traffic": { open: () => openTidemark(groupOf("well")), alerts: [] },
  "an app that is deployed again and again": {
    open: () => openTidemark(groupOf("well")),
    traffic: others,
    strike: async (app) => {
      for (let times = 0; times < 3; times++) {
        await app.replace();
        await replicasAreEligible(app.tidemark);
      }
    },
    alerts: [],
  },
  "an app without replicas": {
    open: () => new Tidemark({ primary: groupOf("well").primary.url, replicas: [] }),
    traffic: others,
    alerts: [],
  },
  "an app with a replica of weight 0": {
    open: () =>
      new Tidemark({
        primary: groupOf("well").primary.url,
        weights: { [`127.0.0.1:${replicaOf(groupOf("well")).port}`]: 0 },
      }),
    traffic: others,
    alerts: [],
  },
  "a failover that loses nothing": {
    open: () => openTidemark(groupOf("turned")),
    traffic: others,
    strike: async () => {
      const group = groupOf("turned");
      await group.primary.admin().call("CLIENT", "PAUSE", 10_000, "WRITE");
      await caughtUp(
        group.primary,
        group.replicas.map(({ server }) => server),
      );
      await failOver(group, replicaOf(group));
      await group.primary.admin().call("CLIENT", "UNPAUSE");
    },
    alerts: [],
  },
};

const withFaults: Readonly<Record<string, Scene>> = {
  "a replica that was killed": {
    open: () => openTidemark(groupOf("halved")),
    traffic: others,
    strike: () => replicaOf(groupOf("halved")).kill(),
    alerts: ["TidemarkReplicaNotEligible"],
  },
  "a discovered replica that was killed": {
    open: () => new Tidemark({ primary: groupOf("halved").primary.url, maxStalenessMs: 2_000 }),
    traffic: others,
    alerts: ["TidemarkReplicaMissing"],
  },
  "all replicas killed": {
    open: () => openTidemark(groupOf("bare")),
    strike: () => Promise.all(groupOf("bare").replicas.map(({ server }) => server.kill())),
    alerts: ["TidemarkNoReplicaEligible", "TidemarkReplicaNotEligible"],
  },
  "the primary killed": {
    open: () => openTidemark(groupOf("headless")),
    traffic: others,
    strike: () => groupOf("headless").primary.kill(),
    alerts: ["TidemarkPrimaryNotServing"],
  },
  "a failover that loses writes": {
    open: () => openTidemark(groupOf("losing")),
    traffic: own,
    strike: async (app) => {
      holdReplicas(groupOf("losing"));
      for (const user of [0, 1, 2, 3]) await app.ask("POST", `/notes/${user}`, user);
      await failOver(groupOf("losing"), replicaOf(groupOf("losing")));
    },
    alerts: ["TidemarkLostWrites"],
  },
  "a write after its response": {
    open: () => openTidemark(groupOf("well")),
    traffic: others,
    strike: (app) => app.ask("POST", "/late"),
    alerts: ["TidemarkLateWrites"],
  },
  "replicas that get nothing, with waitMs": {
    open: () => openTidemark(groupOf("held"), { ...patient, waitMs: 20, fallbackLimit: false }),
    traffic: own,
    strike: async () => {
      const known = `count_over_time(job:tidemark_replica_reads:share{job=~"replicas that.*"}[1h])`;
      await waitUntil(async () => (await count(`min(${known})`)) > usualShares, {
        what: "the usual share of reads is known",
        timeoutMs: 90_000,
      });
      holdReplicas(groupOf("held"));
    },
    alerts: ["TidemarkReplicasAnswerFewerReads"],
  },
  'replicas that get nothing, with fallback "error"': {
    open: () => openTidemark(groupOf("held"), { ...patient, fallback: "error" }),
    traffic: own,
    alerts: ["TidemarkReadsRefused"],
  },
  "a replica that follows another primary": {
    open: () => openTidemark(groupOf("strayed")),
    strike: () => replicaOf(groupOf("strayed")).replicate(stranger),
    alerts: ["TidemarkReplicaMisconfigured", "TidemarkNoReplicaEligible"],
  },
  "a replica whose ACL forbids INFO": {
    open: () => openTidemark(groupOf("well"), as("app")),
    traffic: others,
    strike: () => replicaOf(groupOf("well")).admin().call("ACL", "SETUSER", "app", "-info"),
    alerts: ["TidemarkReplicaMisconfigured"],
  },
  "a primary whose ACL forbids INFO and the marker": {
    open: () => new Tidemark({ primary: groupOf("well").primary.url, ...as("limited") }),
    traffic: own,
    alerts: ["TidemarkPositionsUnknown"],
  },
  "a replica whose clock is wrong": {
    open: () =>
      openTidemark(groupOf("well"), {
        replicas: [{ host: clock.host, port: clock.port }],
        maxClockSkewMs: 1_500,
      }),
    traffic: others,
    strike: async () => {
      clock.aheadSeconds = 1;
      clock.cut();
      clock.mend();
    },
    alerts: ["TidemarkClockSkew"],
  },
  "a replica that lags": {
    open: () => openTidemark(groupOf("lagging"), { maxStalenessMs: 12_000 }),
    traffic: others,
    strike: async () => groupOf("lagging").replicas[0]?.link.delay(8_500),
    alerts: ["TidemarkReplicaLag"],
  },
};

const scenes = { ...inNormalLife, ...withFaults };

async function addUsers(): Promise<void> {
  const { primary, replicas } = groupOf("well");
  for (const server of [primary, ...replicas.map((one) => one.server)]) {
    await server.admin().call("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all");
    await server
      .admin()
      .call("ACL", "SETUSER", "limited", "on", ">secret", "~note:*", "+@all", "-@dangerous");
  }
}

/** Ends what has been started and is not ended yet, except for Prometheus. */
async function endAll(): Promise<void> {
  await Promise.all([...apps.values()].map((app) => app.stop()));
  await Promise.all([clock?.stop(), stranger?.stop(), ...[...groups.values()].map((group) => group.stop())]);
  apps.clear();
  groups.clear();
}

/** A query as Grafana sends it for all jobs, over the time since the apps started. */
function filledIn(expression: string): string {
  return expression.replaceAll(/"\$(job|instance)"/g, '".*"').replaceAll(/\$__(rate_interval|range)/g, "10m");
}

/** The value of a query whose result is one number. */
async function count(expression: string): Promise<number> {
  const [first] = await prometheus.query(expression);
  return first?.value ?? 0;
}

/** The alerts that have fired since the apps started, by job. */
async function firedIn(job: string, at?: number): Promise<string[]> {
  const series = `ALERTS{alertstate="firing",job=${JSON.stringify(job)}}`;
  const fired = await prometheus.query(`count by (alertname) (max_over_time(${series}[1h]))`, at);
  return fired.map(({ labels }) => labels.alertname ?? "").toSorted();
}

describe.skipIf(program === undefined)("with a Prometheus", () => {
  beforeAll(async () => {
    if (program === undefined) return;
    const sizes = Object.entries(replicaCounts) as [GroupName, number][];
    stranger = await RedisServer.start();
    await Promise.all(
      sizes.map(async ([name, replicas]) => groups.set(name, await startReplicationGroup({ replicas }))),
    );
    await addUsers();
    clock = await ClockProxy.start({ targetPort: replicaOf(groupOf("well"), 1).port });
    for (const [title, { open, traffic }] of Object.entries(scenes)) {
      const quiet = (): Tidemark => {
        const tidemark = open();
        tidemark.redis.on("error", () => {});
        return tidemark;
      };
      const app = await ScrapedApp.start(quiet, traffic);
      apps.set(title, app);
      await app.tidemark.ready();
    }
    const jobs = Object.fromEntries([...apps].map(([title, { port }]) => [title, [port]]));
    prometheus = await Prometheus.start(program, { jobs, rules: hastened(alertRules), scrapeMs });
    await waitUntil(async () => (await count("count(count_over_time(up[1h]) > 3)")) === apps.size, {
      what: "all apps are scraped",
      timeoutMs: 60_000,
    });
    await Promise.all([...apps].map(([title, app]) => scenes[title]?.strike?.(app)));
    const scraped = (): Promise<number> => count("min(count_over_time(up[1h]))");
    const atStrike = await scraped();
    await waitUntil(async () => (await scraped()) > atStrike + scrapesToFire, {
      what: "every alert has had time to fire",
      timeoutMs: 60_000,
    });
  }, 180_000);

  afterAll(async () => {
    await endAll();
    await prometheus?.stop();
  });

  it.each(Object.entries(withFaults))("only the alerts about it fire for %s", async (title, { alerts }) => {
    const isMissing = (fired: readonly string[]): boolean => alerts.some((alert) => !fired.includes(alert));
    await waitUntil(async () => !isMissing(await firedIn(title)), { what: `${alerts.join(" and ")} fired` });
    expect(await firedIn(title)).toEqual(alerts.toSorted());
  });

  describe("afterwards", () => {
    /** Only Prometheus runs after it. */
    let observedAt: number;

    beforeAll(async () => {
      observedAt = Date.now();
      await endAll();
    });

    it.each(Object.keys(inNormalLife))("no alert has fired for %s", async (title) => {
      expect(await firedIn(title, observedAt)).toEqual([]);
    });

    it.each(dashboardQueries)("the dashboard has data for $title: $expr", async ({ expr }) => {
      const values = (await prometheus.query(filledIn(expr), observedAt)).map(({ value }) => value);
      expect(values.filter((value) => !Number.isNaN(value))).not.toEqual([]);
    });
  });
});

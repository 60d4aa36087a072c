/** A cluster for the tests of a file, and the Tidemarks each of them opens on it. */

import { afterAll, afterEach, aroundEach, beforeAll, beforeEach } from "vitest";
import { type CommonOptions, Tidemark } from "../../../src/index.js";
import { SLOTS, tagOf } from "../commands/hash-slot.js";
import { type LostWrites, listenToLostWrites } from "../listeners/lost-writes.js";
import { listenToRoutes, type Routes } from "../listeners/routes.js";
import { type ClusterGroup, type ClusterGroupOptions, startClusterGroup } from "../servers/cluster-group.js";
import { waitUntil } from "../wait-until.js";
import { currentScope, inScope } from "./test-scope.js";

export interface StagedCluster {
  readonly group: ClusterGroup;
  /** The routes of the test's commands. */
  readonly routes: Routes;
  /** The lost writes that Tidemarks have reported since the test began. */
  readonly lostWrites: LostWrites;
  /** A Tidemark that knows the cluster by its first node, all of whose replicas may answer reads. */
  open(options?: CommonOptions): Promise<Tidemark>;
}

/** The cluster, Tidemarks and records of one test. */
class Scene {
  group: ClusterGroup | undefined;
  routes: Routes | undefined;
  lostWrites: LostWrites | undefined;
  readonly opened: Tidemark[] = [];
}

/**
 * Starts the cluster before the file's tests, or with `fresh` before each, and ends it after them. Tests with `fresh` may run
 * side by side: each finds its own cluster.
 */
export function stageCluster(
  options: ClusterGroupOptions & { readonly fresh?: boolean } = {},
): StagedCluster {
  const { fresh = false, ...ofGroup } = options;
  let shared: ClusterGroup | undefined;

  const scene = (): Scene => {
    const scope = currentScope();
    if (!(scope instanceof Scene)) throw new Error("no test has begun");
    return scope;
  };
  const started = <Part>(part: Part | undefined): Part => {
    if (part === undefined) throw new Error("the cluster has not started");
    return part;
  };
  // What comes before the first test finds the cluster of the file.
  const group = (): ClusterGroup => started(fresh ? scene().group : shared);

  if (!fresh) {
    beforeAll(async () => {
      shared = await startClusterGroup(ofGroup);
    });
    afterAll(() => shared?.stop());
  }

  aroundEach((runTest) => inScope(new Scene(), runTest));

  beforeEach(async () => {
    const own = scene();
    if (fresh) own.group = await startClusterGroup(ofGroup);
    own.routes = listenToRoutes();
    own.lostWrites = listenToLostWrites();
  });

  afterEach(async () => {
    const own = scene();
    own.routes?.[Symbol.dispose]();
    own.lostWrites?.[Symbol.dispose]();
    await Promise.all(own.opened.map((tidemark) => tidemark.close()));
    if (fresh) {
      await own.group?.stop();
      return;
    }
    await Promise.all(group().nodes.map(({ proxy }) => proxy.release()));
    await group().ready();
  });

  return {
    get group() {
      return group();
    },
    get routes() {
      return started(scene().routes);
    },
    get lostWrites() {
      return started(scene().lostWrites);
    },
    open: async (common = {}) => {
      const [first] = group().nodes.filter(({ server }) => server.isAlive);
      const tidemark = new Tidemark({ cluster: [`redis://${first?.host}:${first?.port}`], ...common });
      scene().opened.push(tidemark);
      await clusterIsEligible(tidemark);
      scene().routes?.clear();
      return tidemark;
    },
  };
}

/** Resolves when every replica may answer reads; reads of all shards keep the questions after their positions going. */
export async function clusterIsEligible(tidemark: Tidemark): Promise<void> {
  await tidemark.ready();
  const keys = Array.from({ length: 12 }, (_, i) => keyIn((i * SLOTS) / 12));
  const isEligible = async () => {
    await Promise.all(keys.map((key) => tidemark.session().redis.get(key)));
    return tidemark.topology().every(({ eligible }) => eligible);
  };
  await waitUntil(isEligible, { what: "every replica is eligible" });
}

/** Finding one takes its time, in which the proxies of the cluster stand still. */
const tags = new Map<number, string>();

/** A key that falls into the slot. */
export function keyIn(slot: number, name = ""): string {
  const whole = Math.floor(slot);
  const tag = tags.get(whole) ?? tagOf(whole);
  tags.set(whole, tag);
  return `{${tag}}${name}`;
}

/** Opens a Tidemark on the servers, as the app does, and looks at the states that it gives them. */
import type { RedisOptions } from "ioredis";
import { valueIn } from "../inspection/answer.js";
import type { Deployment, ObservedTidemark } from "../inspection/deployment.js";

/** The options of a Tidemark that depend on the deployment. */
export interface TidemarkServers {
  readonly primary?: RedisOptions;
  readonly replicas?: readonly RedisOptions[];
  readonly sentinels?: readonly RedisOptions[];
  readonly name?: string;
  readonly cluster?: readonly RedisOptions[];
  readonly redis: RedisOptions;
}

/** What the doctor needs of a Tidemark. */
export interface OpenTidemark {
  ready(options: { readonly timeoutMs: number }): Promise<void>;
  /** Reads a key that does not exist, so that the replicas are asked for their positions. */
  probe(): Promise<unknown>;
  topology(): ObservedTidemark["nodes"];
  close(options: { readonly timeoutMs: number }): Promise<void>;
}

export type OpensTidemark = (
  servers: TidemarkServers,
  settings: {
    readonly maxStalenessMs: number;
    readonly tokenTtlMs: number;
    readonly maxClockSkewMs: number;
    readonly probeIntervalMs: number;
  },
) => OpenTidemark;

const patienceMs = 5_000;
const againMs = 50;
/** States that end by themselves, soon. */
const passing = new Set(["starting"]);

/** Sets `deployment.tidemark`. Nothing is opened where Tidemark would write a key of its own. */
export async function observeTidemark(deployment: Deployment, opens: OpensTidemark): Promise<void> {
  const servers = serversOf(deployment);
  if (typeof servers === "string") {
    deployment.tidemark = { nodes: [], absence: servers };
    return;
  }
  const { maxStalenessMs, tokenTtlMs, maxClockSkewMs, probeIntervalMs } = deployment.settings;
  let open: OpenTidemark;
  try {
    open = opens(servers, { maxStalenessMs, tokenTtlMs, maxClockSkewMs, probeIntervalMs });
  } catch (error) {
    deployment.tidemark = { nodes: [], error: messageOf(error) };
    return;
  }
  const error = await open.ready({ timeoutMs: patienceMs }).then(() => undefined, messageOf);
  const endsAt = performance.now() + patienceMs;
  const isSettled = (): boolean => open.topology().every(({ state }) => !passing.has(state));
  while (error === undefined && performance.now() < endsAt) {
    await open.probe().catch(() => {});
    if (open.topology().length > 0 && isSettled()) break;
    await new Promise((resolve) => setTimeout(resolve, againMs));
  }
  const nodes = open.topology();
  deployment.tidemark = { nodes, ...(error === undefined ? {} : { error }) };
  await open.close({ timeoutMs: 0 });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The servers as an app would give them, or why no Tidemark is opened. */
function serversOf(deployment: Deployment): TidemarkServers | string {
  const { target, primaries } = deployment;
  const { servers, redis, kind, name } = target;
  if (kind === "sentinel")
    return name === undefined ? "there is no name" : { sentinels: servers, name, redis };
  if (kind === "cluster") return { cluster: servers, redis: withoutPlace(redis) };
  const [primary] = primaries;
  if (primary === undefined) return "there is no primary";
  if (valueIn(primary.info) === undefined)
    return "this user may not use INFO on the primary, so Tidemark would write a key of its own there";
  const others = deployment.servers.filter(({ source }) => source === "given" && servers.length > 1);
  const replicas = others.filter((server) => server !== primary && server.address !== primary.address);
  const natMap = redis.natMap === undefined ? {} : { natMap: redis.natMap };
  return {
    primary: primary.options,
    ...(replicas.length === 0 ? {} : { replicas: replicas.map(({ options }) => options) }),
    redis: natMap,
  };
}

function withoutPlace({ host: _host, port: _port, path: _path, ...rest }: RedisOptions): RedisOptions {
  return rest;
}

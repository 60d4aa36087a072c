/** The questions that the doctor asks with one command each. All of them only read. */

/** Which servers a question is for. */
export type Addressee = "all" | "data" | "cluster" | "sentinel";

export interface Question {
  readonly to: Addressee;
  /** The command for a deployment whose primary the Sentinels call `name`. */
  readonly command: (name: string) => readonly string[];
}

function question(to: Addressee, ...command: readonly string[]): Question {
  return { to, command: () => command };
}

/** A question for Sentinels about the primary. */
function about(...command: readonly string[]): Question {
  return { to: "sentinel", command: (name) => [...command, name] };
}

/** The commands that Tidemark sends of its own accord to every server with data. */
export const sentCommands = [
  ...["info", "multi", "exec", "get", "set", "ping", "time", "hello", "client", "auth", "wait", "publish"],
  ...["select", "readonly", "asking", "cluster"],
] as const;

/** Every question, by the name under which `answer()` of a server has the reply. */
export const questions = {
  hello: question("all", "HELLO"),
  user: question("all", "ACL", "WHOAMI"),
  client: question("all", "CLIENT", "INFO"),
  role: question("all", "ROLE"),
  wait: question("data", "WAIT", "0", "0"),
  commands: question("data", "COMMAND", "INFO", ...sentCommands),
  latency: question("data", "LATENCY", "LATEST"),
  slowLog: question("data", "SLOWLOG", "GET", "10"),
  replicaClients: question("data", "CLIENT", "LIST", "TYPE", "replica"),
  modules: question("data", "MODULE", "LIST"),
  // A read without a key, so that only the right to read decides.
  size: question("data", "DBSIZE"),
  clusterInfo: question("cluster", "CLUSTER", "INFO"),
  clusterSlots: question("cluster", "CLUSTER", "SLOTS"),
  clusterNodes: question("cluster", "CLUSTER", "NODES"),
  sentinelPrimaries: question("sentinel", "SENTINEL", "MASTERS"),
  sentinelPrimary: about("SENTINEL", "MASTER"),
  sentinelReplicas: about("SENTINEL", "REPLICAS"),
  sentinelOthers: about("SENTINEL", "SENTINELS"),
  sentinelQuorum: about("SENTINEL", "CKQUORUM"),
} satisfies Readonly<Record<string, Question>>;

export type QuestionName = keyof typeof questions;

/** The settings that checks look at. One `CONFIG GET` for each, because Redis 6 takes only one name. */
export const configNames = [
  ...["appendfsync", "appendonly", "client-output-buffer-limit", "cluster-allow-reads-when-down"],
  ...["cluster-require-full-coverage", "databases", "disable-thp", "port", "tls-port", "tls-replication"],
  ...["cluster-replica-no-failover", "dual-channel-replication-enabled", "maxclients", "maxmemory"],
  ...["maxmemory-policy", "min-replicas-max-lag", "min-replicas-to-write", "notify-keyspace-events"],
  ...["repl-backlog-size", "repl-backlog-ttl", "repl-disable-tcp-nodelay", "repl-diskless-load"],
  ...["repl-diskless-sync", "repl-diskless-sync-delay", "repl-ping-replica-period", "repl-rdb-channel"],
  ...["repl-timeout", "replica-announced", "replica-ignore-maxmemory", "replica-lazy-flush"],
  ...["replica-priority", "replica-read-only", "replica-serve-stale-data", "save", "tcp-keepalive"],
  ...["timeout", "slowlog-log-slower-than"],
] as const;

export type ConfigName = (typeof configNames)[number];

/** The plan of the source tree: what each folder holds, and which folders it may import. */

export interface Layer {
  readonly folder: string;
  readonly holds: string;
  /** The folders above this one in the table that it may import. Files in `src` itself may import everything. */
  readonly imports: readonly string[];
}

/** `errors/` and the file `address.ts` import nothing and may be used by all, so the table does not name them. */
export const forAll = new Set(["errors", "address"]);

/** The file that apps import. The program `tidemark` is an app too, so its folder may import this file. */
export const entry = "index";

/** From what knows nothing of the rest to what apps import. `docs/architecture.md` shows this table. */
export const layers: readonly Layer[] = [
  {
    folder: "errors",
    holds: "Every error, and the checks that name what was wrong in an option.",
    imports: [],
  },
  {
    folder: "consistency",
    holds: "What apps ask for: levels, read policies, write concerns.",
    imports: [],
  },
  {
    folder: "replication",
    holds: "Positions in a replication stream. Pure: no I/O.",
    imports: [],
  },
  {
    folder: "commands",
    holds: "What a command is: read or write, its keys, its timeout, and what an error reply means.",
    imports: [],
  },
  {
    folder: "diagnostics",
    holds: "What operators see: diagnostics channels and statistics.",
    imports: ["consistency"],
  },
  {
    folder: "rollout",
    holds: "Whose reads replicas may answer: the mode, and the share of the users.",
    imports: ["commands", "diagnostics"],
  },
  {
    folder: "connection",
    holds: "One ioredis client to one server.",
    imports: ["commands"],
  },
  {
    folder: "session",
    holds: "One user's session: what it requires, its token, the current context.",
    imports: ["commands", "consistency", "diagnostics", "replication", "rollout"],
  },
  {
    folder: "node",
    holds: "One Redis server: what it last reported, and how it is asked for its position.",
    imports: ["commands", "connection", "diagnostics", "replication"],
  },
  {
    folder: "shard",
    holds: "One primary and its replicas: who is the primary, which replica is eligible.",
    imports: ["connection", "diagnostics", "node", "replication"],
  },
  {
    folder: "topology",
    holds: "Which servers there are: given, discovered, named by Sentinels or by a cluster.",
    imports: ["commands", "connection", "diagnostics", "node", "replication", "shard"],
  },
  {
    folder: "reads",
    holds: "How a read finds a node that may answer it.",
    imports: [
      ...["commands", "connection", "consistency", "diagnostics", "node", "replication", "session", "shard"],
      "topology",
    ],
  },
  {
    folder: "shadow",
    holds: "What replicas would have answered, measured while the primary answers.",
    imports: [...["commands", "diagnostics", "node", "reads", "replication", "rollout", "session", "shard"]],
  },
  {
    folder: "routing",
    holds: "Every other command to the node it belongs to.",
    imports: [
      ...["commands", "connection", "consistency", "node", "reads", "replication", "rollout", "session"],
      ...["shard", "topology"],
    ],
  },
  {
    folder: "client",
    holds: "What apps hold in their hands: the routed ioredis client and its kin.",
    imports: [
      ...["commands", "connection", "consistency", "diagnostics", "node", "reads", "replication", "rollout"],
      ...["session", "shard"],
    ],
  },
  {
    folder: "options",
    holds: "The options of a Tidemark and of its servers, checked once.",
    imports: ["commands", "consistency", "diagnostics", "reads", "rollout", "session", "shard", "topology"],
  },
  {
    folder: "opentelemetry",
    holds: "What apps with OpenTelemetry mount: hooks for traces and instruments for metrics.",
    imports: ["commands", "diagnostics"],
  },
  {
    folder: "http/carriers",
    holds: "How a token travels: cookie, header, server-side session.",
    imports: ["session"],
  },
  {
    folder: "http",
    holds: "Tokens in with the request, out with the response.",
    imports: ["consistency", "diagnostics", "http/carriers", "replication", "rollout", "session"],
  },
  {
    folder: "http/dashboard",
    holds: "The live page about a Tidemark, its feed, and who may see it.",
    imports: ["diagnostics", "session"],
  },
  {
    folder: "http/frameworks",
    holds: "Express, Koa, Fastify and Web handlers.",
    imports: ["consistency", "http", "http/carriers", "http/dashboard", "session"],
  },
  {
    folder: "cli/terminal",
    holds: "What a terminal can show: width, colours, characters.",
    imports: [],
  },
  {
    folder: "cli/inspection",
    holds: "A deployment looked at from outside: its servers, their answers, its lag.",
    imports: ["commands", "connection", "node", "replication"],
  },
  {
    folder: "cli/arguments",
    holds: "What users type: servers, passwords and settings, checked.",
    imports: ["cli/inspection", "options"],
  },
  {
    folder: "cli/doctor",
    holds: "The checks of a deployment, and their report.",
    imports: [
      ...["cli/arguments", "cli/inspection", "cli/terminal", "consistency", "diagnostics", "node"],
      "replication",
    ],
  },
  {
    folder: "cli/top",
    holds: "The live table of servers in a terminal.",
    imports: ["cli/arguments", "cli/inspection", "cli/terminal", "diagnostics", "replication"],
  },
  {
    folder: "cli",
    holds: "The program `tidemark`: its arguments, its terminal, its exit codes.",
    imports: ["cli/arguments", "cli/doctor", "cli/inspection", "cli/terminal", "cli/top", entry],
  },
];

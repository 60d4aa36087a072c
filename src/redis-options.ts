/** Options of ioredis that a Tidemark cannot take, and what to give instead. */
import { Redis, type RedisOptions } from "ioredis";
import { InvalidOptionError } from "./errors.js";
import { changesBetween, noOption, tidemarkOptions } from "./option-names.js";

interface Refusal {
  readonly isMeant: (value: unknown) => boolean;
  readonly remedy: string;
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null && value !== false;

/** Ignored, each of these would have commands go where the user does not mean them to. */
const anywhere: Readonly<Record<string, Refusal>> = {
  monitor: { isMeant: isGiven, remedy: "leave it out, and call tidemark.redis.monitor()" },
  readOnly: {
    isMeant: isGiven,
    remedy: "leave it out: Tidemark sends READONLY on the connections that need it",
  },
  role: {
    isMeant: (role) => isGiven(role) && role !== "master",
    remedy: "leave it out: the level of a read decides which server answers",
  },
  preferredSlaves: { isMeant: isGiven, remedy: "give weights, or zone, to prefer some replicas" },
  himportFieldsets: {
    isMeant: (fieldsets) => Array.isArray(fieldsets) && fieldsets.length > 0,
    remedy: "give it to a client of its own: tidemark.redis.duplicate({ himportFieldsets })",
  },
};

/** These say where one server is, or how to find it, and `redis` is for all. */
const common: Readonly<Record<string, Refusal>> = {
  sentinels: { isMeant: isGiven, remedy: "give { sentinels, name } beside redis" },
  name: { isMeant: isGiven, remedy: "give { sentinels, name } beside redis" },
  path: { isMeant: isGiven, remedy: "give it for one server, like { primary: { path } }" },
};

/** Options of ioredis that have no default. */
const withoutDefault = [
  ...["path", "tls", "Connector", "commandTimeout", "socketTimeout", "blockingTimeout", "scripts", "monitor"],
  ...["sentinelUsername", "sentinelPassword", "sentinelTLS", "sentinelCommandTimeout", "preferredSlaves"],
  ...["showFriendlyErrorStack", "offlineQueue", "commandQueue", "himportFieldsets"],
];

/** What other clients call an option of ioredis. */
const elsewhere: Readonly<Record<string, string>> = {
  url: "give the URL in the place of the object",
  socket: "give host and port",
  hostname: 'did you mean "host"?',
  database: 'did you mean "db"?',
  user: 'did you mean "username"?',
  pass: 'did you mean "password"?',
  auth: 'did you mean "password"?',
};

/** The defaults of the installed ioredis. */
export function ioredisDefaults(): Readonly<Record<string, unknown>> {
  const defaults: unknown = Reflect.get(Redis, "defaultOptions");
  return { ...(typeof defaults === "object" ? defaults : {}) };
}

/** Whether ioredis has an option of that name. */
export function isRedisOption(name: string): boolean {
  return name in ioredisDefaults() || withoutDefault.includes(name);
}

/** Checks the options of one server, which `option` names in the error. */
export function refuseOptions(option: string, options: RedisOptions): void {
  refuse(option, options, anywhere);
}

/** Checks the options that are for all servers. */
export function refuseCommonOptions(options: RedisOptions): void {
  refuse("redis", options, { ...anywhere, ...common });
}

function refuse(option: string, options: RedisOptions, refusals: Readonly<Record<string, Refusal>>): void {
  for (const [name, { isMeant, remedy }] of Object.entries(refusals)) {
    const value: unknown = Reflect.get(options, name);
    if (isMeant(value)) throw new InvalidOptionError(`${option}.${name}`, value, remedy);
  }
  for (const name of Object.keys(options)) {
    if (isRedisOption(name)) continue;
    const meant = meantBy(name);
    if (meant !== undefined) throw new InvalidOptionError(option, options, meant, noOption(name));
  }
}

/**
 * What to give instead of an option that ioredis does not have; undefined when it may be one of a version to come, or one of an
 * app's own.
 */
function meantBy(name: string): string | undefined {
  if (tidemarkOptions.includes(name)) return `give ${name} to new Tidemark, beside redis`;
  const lower = name.toLowerCase();
  const most = name.length < 5 ? 0 : name.length < 8 ? 1 : 2;
  const nearest = [...Object.keys(ioredisDefaults()), ...withoutDefault].find(
    (one) => changesBetween(one.toLowerCase(), lower) <= most,
  );
  return nearest === undefined ? elsewhere[lower] : `did you mean "${nearest}"?`;
}

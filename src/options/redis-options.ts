/** Refuses the ioredis options that a Tidemark cannot use, and says what to give instead. */
import { Redis, type RedisOptions } from "ioredis";
import { InvalidOptionError } from "../errors/errors.js";
import { changesBetween, noOption, tidemarkOptions } from "../errors/option-names.js";

interface Refusal {
  readonly isMeant: (value: unknown) => boolean;
  readonly remedy: string;
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null && value !== false;

/** Options that are refused for every server. If Tidemark ignored one of them, commands would not do what the user intends. */
const anywhere: Readonly<Record<string, Refusal>> = {
  monitor: { isMeant: isGiven, remedy: "Remove it, and call tidemark.redis.monitor()" },
  readOnly: {
    isMeant: isGiven,
    remedy: "Remove it, because Tidemark sends READONLY on the connections that need it",
  },
  role: {
    isMeant: (role) => isGiven(role) && role !== "master",
    remedy: "Remove it, because the level of a read decides which server answers",
  },
  preferredSlaves: {
    isMeant: isGiven,
    remedy: "Pass `weights` or `zone` to new Tidemark to prefer some replicas",
  },
  himportFieldsets: {
    isMeant: (fieldsets) => Array.isArray(fieldsets) && fieldsets.length > 0,
    remedy: "Pass it to a separate client: tidemark.redis.duplicate({ himportFieldsets })",
  },
};

/** Options that are refused only in `redis`. They name one server or a way to find it, but `redis` is for all servers. */
const common: Readonly<Record<string, Refusal>> = {
  sentinels: { isMeant: isGiven, remedy: "Pass `sentinels` and `name` to new Tidemark, beside `redis`" },
  name: { isMeant: isGiven, remedy: "Pass `sentinels` and `name` to new Tidemark, beside `redis`" },
  path: { isMeant: isGiven, remedy: "Pass it for one server, like { primary: { path } }" },
};

/** The check for each option where ioredis would ignore a wrong value or fail at the first connection. */
const values: ReadonlyMap<string, Expected> = new Map<string, Expected>([
  ["username", [isString, "Pass a string"]],
  ["password", [isString, "Pass a string"]],
  ["keyPrefix", [isString, "Pass a string"]],
  ["sentinelUsername", [isString, "Pass a string"]],
  ["sentinelPassword", [isString, "Pass a string"]],
  ["tls", [isTls, "Pass true, or an object like { ca }"]],
  ["sentinelTLS", [isTls, "Pass true, or an object like { ca }"]],
  ["protocol", [(value) => ["2", "3"].includes(String(value)), "Pass 2 or 3"]],
  ["family", [(value) => ["0", "4", "6"].includes(String(value)), "Pass 4 or 6, or 0 for both"]],
  ["connectionName", [isPrintable, "Pass a name without spaces and line breaks"]],
  ["natMap", [isNatMap, 'Pass { "10.0.0.1:6379": { host: "203.0.113.1", port: 6379 } }, or a function']],
]);

type Expected = readonly [isFit: (value: unknown) => boolean, remedy: string];

function isString(value: unknown): boolean {
  return typeof value === "string";
}

/** Redis refuses connection names with other characters. */
function isPrintable(value: unknown): boolean {
  return typeof value === "string" && /^[!-~]*$/.test(value);
}

/** False means no TLS, as undefined does. */
function isTls(value: unknown): boolean {
  return typeof value === "boolean" || (typeof value === "object" && !Array.isArray(value));
}

function isNatMap(value: unknown): boolean {
  if (typeof value === "function") return true;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every(isAddress);
}

function isAddress(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const host: unknown = Reflect.get(value, "host");
  const port = Number(Reflect.get(value, "port"));
  return typeof host === "string" && host !== "" && Number.isInteger(port) && port > 0 && port <= 65_535;
}

/** Options of ioredis that have no default. */
const withoutDefault = [
  ...["path", "tls", "Connector", "commandTimeout", "socketTimeout", "blockingTimeout", "scripts", "monitor"],
  ...["sentinelUsername", "sentinelPassword", "sentinelTLS", "sentinelCommandTimeout", "preferredSlaves"],
  ...["showFriendlyErrorStack", "offlineQueue", "commandQueue", "himportFieldsets"],
];

const tlsNames = ["ca", "cert", "key", "pfx", "passphrase", "servername", "rejectUnauthorized"];

/** Names that other clients use for ioredis options. Case and underscores make no difference. */
const synonyms: Readonly<Record<string, readonly string[]>> = {
  host: ["hostname", "address", "ip", "server"],
  path: ["unixSocket", "socketPath"],
  db: ["database", "dbIndex"],
  username: ["user", "usr"],
  password: ["pass", "pw", "pwd", "auth", "authPass", "credentials"],
  keyPrefix: ["prefix"],
  tls: ["ssl", "secure", "useTls", "useSsl", "tlsOptions", "sslOptions"],
};

/** The advice for options of other clients. */
const elsewhere: ReadonlyMap<string, string> = new Map([
  ["url", 'Pass the URL as the server, for example primary: "redis://10.0.0.1:6379"'],
  ["socket", "Pass `host` and `port`"],
  ...tlsNames.map((name): [string, string] => [plain(name), `Did you mean tls: { ${name} }?`]),
  ...Object.entries(synonyms).flatMap(([meant, names]) =>
    names.map((name): [string, string] => [plain(name), `Did you mean "${meant}"?`]),
  ),
]);

function plain(name: string): string {
  return name.toLowerCase().replaceAll("_", "");
}

/** The defaults of the installed ioredis. */
export function ioredisDefaults(): Readonly<Record<string, unknown>> {
  const defaults: unknown = Reflect.get(Redis, "defaultOptions");
  return { ...(typeof defaults === "object" ? defaults : {}) };
}

/** Whether ioredis has an option of that name. */
export function isRedisOption(name: string): boolean {
  return Object.hasOwn(ioredisDefaults(), name) || withoutDefault.includes(name);
}

/** Checks the options of one server. Errors name the server as `option`. */
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
  for (const [name, value] of Object.entries(options)) {
    checkValue(option, name, value);
    if (isRedisOption(name)) continue;
    const meant = meantBy(name);
    if (meant !== undefined) throw new InvalidOptionError(option, options, meant, noOption(name));
  }
}

function checkValue(option: string, name: string, value: unknown): void {
  const expected = values.get(name);
  if (expected === undefined || value === undefined || value === null) return;
  const [isFit, remedy] = expected;
  if (!isFit(value)) throw new InvalidOptionError(`${option}.${name}`, value, remedy);
}

/**
 * The advice for an option that ioredis does not have. Undefined if the option may belong to a later version of ioredis or to the
 * app itself.
 */
function meantBy(name: string): string | undefined {
  if (tidemarkOptions.includes(name)) return `Pass ${name} to new Tidemark, beside \`redis\``;
  if (name === "__proto__") return "Remove it, because it is not an option";
  const lower = name.toLowerCase();
  const most = name.length < 5 ? 0 : name.length < 8 ? 1 : 2;
  const nearest = [...Object.keys(ioredisDefaults()), ...withoutDefault].find(
    (one) => changesBetween(one.toLowerCase(), lower) <= most,
  );
  return nearest === undefined ? elsewhere.get(plain(name)) : `Did you mean "${nearest}"?`;
}

/** One server, looked at from outside: its connection, and its answers to questions that change nothing. */
import type { Redis, RedisOptions } from "ioredis";
import { addressOf, type Endpoint } from "../../address.js";
import { disconnect, forgetClosed } from "../../connection/disconnect.js";
import { OwnClient } from "../../connection/own-client.js";
import { plainHandshake } from "../../connection/proxy-detection.js";
import { guardReplies } from "../../connection/reply-guard.js";
import { ClockSkew } from "../../node/clock-skew.js";
import { parseReplicas, parseUpstream } from "../../replication/replication-info.js";
import { type Answer, answered, answerOfError, converted, notAsked, valueIn } from "./answer.js";
import { type InfoFields, parseFlatList, parseInfo } from "./info.js";
import { type ConfigName, configNames, type QuestionName, questions } from "./questions.js";
import { markerRight, type Right, rightsAsked } from "./rights.js";
import { type OtherTransport, otherTransport, type Transport, transportOf } from "./transport.js";

/** How the deployment came to know a server. */
export type ServerSource = "given" | "announced" | "sentinel" | "cluster";

export interface InspectedServerOptions {
  readonly options: RedisOptions;
  readonly source: ServerSource;
  /** The server that announced this one. */
  readonly announcedBy?: string;
  readonly kind?: "redis" | "sentinel";
  /** How long each answer may take. Default 5000. */
  readonly timeoutMs?: number;
}

/** How much `look()` asks. */
export interface Look {
  /** `"roles"` asks only what shows the roles and the replicas. `"state"` asks only for INFO, in one turn of the event loop. */
  readonly depth: "state" | "roles" | "everything";
  /** The name that the Sentinels have for the primary. */
  readonly name?: string;
}

/** A right with what the server said when it was tried. */
export interface TriedRight extends Right {
  readonly answer: Answer<unknown>;
}

const defaultTimeoutMs = 5_000;
const pings = 100;
const otherConnections = 8;
/**
 * Errors with which a server answers even PING although it has accepted the connection: it loads its data, has lost its primary,
 * runs a script, or cannot save its data.
 */
const isOfState = /^(LOADING|MASTERDOWN|BUSY|MISCONF) /;
const clockReadings = 5;
/** A server that speaks the other protocol answers at once. */
const handshakeMs = 2_000;

/** Errors that do not depend on what is spoken over the connection. The second kind are answers of a server. */
const beyondTransport = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENOENT|^[A-Z]+ /;

export class InspectedServer {
  readonly address: string;
  readonly source: ServerSource;
  readonly announcedBy: string | undefined;
  readonly kind: "redis" | "sentinel";
  /** Other addresses that turned out to be the same server. */
  readonly aliases = new Set<string>();
  /** Whether there is a connection that the server has accepted. */
  connection: Answer<void> = notAsked;
  /** Whether a password was given although the server asks for none. */
  ignoresPassword = false;
  /** INFO of all sections, by field. */
  info: Answer<InfoFields> = notAsked;
  /** The text of `INFO replication`, which other code of the package can parse. */
  replicationText: Answer<string> = notAsked;
  /** How long each of 100 PINGs took. */
  roundTripsMs: Answer<readonly number[]> = notAsked;
  /** The `run_id` behind each of eight further connections. */
  runIds: Answer<readonly string[]> = notAsked;
  /** The commands of Tidemark itself, tried as this user. */
  rights: readonly TriedRight[] = [];
  /** The number that the server gave to each of three further connections. */
  clientIds: Answer<readonly number[]> = notAsked;
  /** The answer to `HELLO 3`. */
  resp3: Answer<unknown> = notAsked;
  /** The answer to the EXEC of a transaction. */
  transaction: Answer<unknown> = notAsked;
  /** The server's clock, measured by TIME. */
  clock: Answer<ClockSkew> = notAsked;
  /** The open connection. */
  transport: Transport | undefined;
  /** What the server speaks instead, if the connection has failed. */
  otherTransport: OtherTransport | undefined;
  readonly #options: RedisOptions;
  readonly #timeoutMs: number;
  readonly #answers = new Map<QuestionName, Answer<unknown>>();
  readonly #config = new Map<string, Answer<string>>();
  #primaryPassword: Answer<string> = notAsked;
  #redis: Redis | undefined;
  #lost: string | undefined;
  #connecting: Promise<Answer<void>> | undefined;

  constructor({ options, source, announcedBy, kind = "redis", timeoutMs }: InspectedServerOptions) {
    this.#options = options;
    this.#timeoutMs = timeoutMs ?? defaultTimeoutMs;
    this.address = addressOf(options);
    this.source = source;
    this.announcedBy = announcedBy;
    this.kind = kind;
  }

  /** The options of the connection, passwords included. Never print them. */
  get options(): RedisOptions {
    return this.#options;
  }

  /** The role that the server reports. Undefined if it reports none to this user. */
  get role(): "primary" | "replica" | undefined {
    const told =
      valueIn(this.info)?.get("role") ??
      firstOf(valueIn(this.answer("role"))) ??
      valueIn(converted(this.answer("hello"), parseFlatList))?.get("role");
    if (told === "master") return "primary";
    return told === "slave" || told === "replica" ? "replica" : undefined;
  }

  /** The address that this replica replicates from, as it has it in its configuration. */
  get upstream(): Endpoint | undefined {
    const text = valueIn(this.replicationText);
    return text === undefined ? undefined : parseUpstream(text);
  }

  /** The replicas that this server lists. */
  get announced(): readonly Endpoint[] {
    const text = valueIn(this.replicationText);
    return text === undefined ? [] : parseReplicas(text);
  }

  /** Whether a text is one of this server's addresses. */
  isAt(address: string): boolean {
    return this.address === address || this.aliases.has(address);
  }

  /** The answer to a question that `look()` has asked. */
  answer(name: QuestionName): Answer<unknown> {
    return this.#answers.get(name) ?? this.#unasked();
  }

  /** The value of a setting that `look()` has asked for. */
  config(name: ConfigName): Answer<string> {
    return this.#config.get(name) ?? this.#unasked();
  }

  /** Connects once, without retries. A later call connects again if the connection is lost. */
  connect(): Promise<Answer<void>> {
    // Two attempts at the same time would end each other's client.
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /** Asks one question. Never rejects. A server that leaves one question unanswered is asked nothing more. */
  async ask(command: string, ...args: readonly (string | number)[]): Promise<Answer<unknown>> {
    const redis = this.#redis;
    if (redis === undefined || this.connection.kind !== "value") return this.#unasked();
    if (this.#lost !== undefined) return { kind: "failed", message: this.#lost };
    return this.#send(redis, [command, ...args.map(String)]);
  }

  /** Asks everything that the checks need. Connects first if there is no connection. */
  async look({ depth, name = "" }: Look): Promise<void> {
    const connection = await this.connect();
    if (connection.kind !== "value") {
      this.#forgetAnswers();
      this.info = connection;
      this.replicationText = connection;
      this.roundTripsMs = connection;
      this.runIds = connection;
      if (depth === "everything") await this.#tryOtherTransport(connection);
      return;
    }
    this.transport = transportOf(this.#redis?.stream);
    const [replication, info] = await Promise.all([
      this.ask("INFO", "replication"),
      this.ask("INFO", depth === "state" ? "default" : "everything"),
    ]);
    this.replicationText = converted(replication, (text) => (typeof text === "string" ? text : undefined));
    this.info = converted(info, parseInfo);
    if (this.info.kind === "failed") this.#forgetAnswers();
    if (depth === "state") return;
    await Promise.all(this.#questionsFor(depth).map((question) => this.#askQuestion(question, name)));
    if (depth === "roles") return;
    if (this.kind === "redis") await Promise.all(configNames.map((setting) => this.#askConfig(setting)));
    this.roundTripsMs = await this.#measureRoundTrips();
    if (this.kind === "sentinel") return;
    this.clock = await this.#readClock();
    this.runIds = await this.#collectRunIds();
    this.rights = await this.#tried(rightsAsked);
    const isBlind = this.rights.some(({ name, answer }) => name === "info" && answer.kind !== "value");
    if (isBlind) this.rights = [...this.rights, ...(await this.#tried([markerRight]))];
    await this.#tryConnections();
  }

  close(): void {
    if (this.#redis !== undefined) this.#drop(this.#redis);
    this.#redis = undefined;
  }

  /** How the password that this server sends to its primary relates to `password`. */
  primaryPassword(password: string | undefined): Answer<"none" | "same" | "other"> {
    return converted(this.#primaryPassword, (sent) => {
      if (sent === "") return "none";
      return sent === password ? "same" : "other";
    });
  }

  /** Asks questions over one more connection, in their order, and closes it. */
  async askElsewhere(commands: readonly (readonly string[])[]): Promise<readonly Answer<unknown>[]> {
    const redis = this.#client();
    const opened = await this.#opened(redis);
    const answers = commands.map((command) =>
      opened.kind === "value" ? this.#send(redis, command) : opened,
    );
    const settled = await Promise.all(answers);
    this.#drop(redis);
    return settled;
  }

  /** The earlier answers of a server that does not answer any more, its role among them, may be wrong by now. */
  #forgetAnswers(): void {
    this.#answers.clear();
    this.#config.clear();
  }

  async #connect(): Promise<Answer<void>> {
    if (this.#redis?.status === "ready" && this.#lost === undefined) return this.connection;
    this.close();
    const redis = this.#client();
    this.#redis = redis;
    this.#lost = undefined;
    this.connection = await this.#opened(redis);
    if (this.connection.kind !== "value") this.#drop(redis);
    return this.connection;
  }

  async #tryConnections(): Promise<void> {
    const asked = await Promise.all([1, 2, 3].map(() => this.askElsewhere([["CLIENT", "ID"]])));
    this.clientIds = answeredAll(asked.flat(), numberOf);
    [this.resp3 = notAsked] = await this.askElsewhere([["HELLO", "3"]]);
    const transaction = await this.askElsewhere([["MULTI"], ["PING"], ["EXEC"]]);
    this.transaction = transaction.find(({ kind }) => kind !== "value") ?? transaction.at(-1) ?? notAsked;
    this.#primaryPassword = converted(await this.ask("CONFIG", "GET", "masterauth"), (reply) => {
      const sent = parseFlatList(reply)?.get("masterauth");
      return typeof sent === "string" ? sent : undefined;
    });
  }

  async #tryOtherTransport(connection: Answer<void>): Promise<void> {
    if (beyondTransport.test(messageOf(connection))) return;
    this.otherTransport = await otherTransport(this.#options, Math.min(this.#timeoutMs, handshakeMs));
  }

  /** Reads the clock several times. The reading with the shortest round trip counts, because it is the most exact. */
  async #readClock(): Promise<Answer<ClockSkew>> {
    const clock = new ClockSkew();
    let shortest = Number.POSITIVE_INFINITY;
    for (let reading = 0; reading < clockReadings; reading++) {
      const before = performance.now();
      const time = await this.ask("TIME");
      const after = performance.now();
      if (time.kind !== "value") return time;
      if (after - before >= shortest) continue;
      shortest = after - before;
      clock.record(time.value, before, after);
    }
    return answered(clock);
  }

  #unasked(): Answer<never> {
    return this.connection.kind === "value" ? notAsked : this.connection;
  }

  #questionsFor(depth: Look["depth"]): QuestionName[] {
    const isCluster = valueIn(this.info)?.get("cluster_enabled") === "1" || this.source === "cluster";
    const names = Object.entries(questions).filter(([, { to }]) => {
      if (to === "cluster") return isCluster;
      return to === "all" || (to === "sentinel") === (this.kind === "sentinel");
    });
    const forRoles: readonly string[] = [
      "hello",
      "role",
      "clusterSlots",
      "sentinelPrimary",
      "sentinelReplicas",
      "sentinelOthers",
    ];
    return names
      .map(([name]) => name)
      .filter(isQuestion)
      .filter((name) => depth === "everything" || forRoles.includes(name));
  }

  async #askQuestion(name: QuestionName, primaryName: string): Promise<void> {
    const [command = "", ...args] = questions[name].command(primaryName);
    this.#answers.set(name, await this.ask(command, ...args));
  }

  async #askConfig(name: ConfigName): Promise<void> {
    const answer = await this.ask("CONFIG", "GET", name);
    const fields = converted(answer, parseFlatList);
    if (fields.kind !== "value") this.#config.set(name, fields);
    else {
      const value = fields.value.get(name);
      this.#config.set(
        name,
        typeof value === "string"
          ? answered(value)
          : { kind: "absent", message: `the server has no setting ${name}` },
      );
    }
  }

  async #measureRoundTrips(): Promise<Answer<readonly number[]>> {
    const times: number[] = [];
    while (times.length < pings) {
      const before = performance.now();
      const answer = await this.ask("PING");
      if (answer.kind !== "value") return answer;
      times.push(performance.now() - before);
    }
    return answered(times);
  }

  async #tried(rights: readonly Right[]): Promise<readonly TriedRight[]> {
    const answers = await this.askElsewhere(rights.map(({ command }) => command));
    return rights.map((right, index) => ({ ...right, answer: answers[index] ?? notAsked }));
  }

  async #collectRunIds(): Promise<Answer<readonly string[]>> {
    const answers = await Promise.all(
      Array.from({ length: otherConnections }, () => this.askElsewhere([["INFO", "server"]])),
    );
    return answeredAll(answers.flat(), (text) => parseInfo(text)?.get("run_id"));
  }

  #client(): Redis {
    const { host, port, path, family, tls, Connector } = this.#options;
    const redis = new OwnClient({
      ...(path === undefined ? { host, port, family } : { path }),
      ...(tls === undefined ? {} : { tls }),
      ...(Connector === undefined ? {} : { Connector }),
      // The password is sent as a command of its own, so that an error is an answer and not an event.
      ...plainHandshake,
      lazyConnect: true,
      connectTimeout: this.#timeoutMs,
      retryStrategy: () => null,
      reconnectOnError: () => false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      enableAutoPipelining: false,
      disconnectTimeout: 0,
    });
    forgetClosed(redis);
    guardReplies(redis);
    return redis;
  }

  async #opened(redis: Redis): Promise<Answer<void>> {
    let error: unknown;
    redis.on("error", (latest: Error) => {
      error = latest;
    });
    try {
      await redis.connect();
    } catch (refusal) {
      return answerOfError(error ?? refusal, ["connect"], this.#options);
    }
    const { username, password } = this.#options;
    if (password) {
      const login = await this.#send(redis, username ? ["AUTH", username, password] : ["AUTH", password]);
      const isNeedless =
        login.kind !== "value" && /no password is set|without any password/.test(messageOf(login));
      this.ignoresPassword ||= isNeedless;
      if (login.kind !== "value" && !isNeedless) return login;
    }
    const ping = await this.#send(redis, ["PING"]);
    const isOpen = ping.kind === "value" || ping.kind === "hidden" || isOfState.test(messageOf(ping));
    return isOpen ? answered(undefined) : ping;
  }

  async #send(redis: Redis, command: readonly string[]): Promise<Answer<unknown>> {
    const [name = "", ...args] = command;
    const late = `it did not answer ${name} within ${this.#timeoutMs / 1_000} s`;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<Answer<unknown>>((resolve) => {
      timer = setTimeout(() => resolve({ kind: "failed", message: late }), this.#timeoutMs);
    });
    const reply = redis
      .call(name, ...args)
      .then(answered, (error: unknown) => answerOfError(error, command, this.#options));
    const answer = await Promise.race([reply, deadline]);
    clearTimeout(timer);
    if (answer.kind === "failed" && answer.message === late) {
      if (redis === this.#redis) this.#lost = late;
      this.#drop(redis);
    }
    return answer;
  }

  #drop(redis: Redis): void {
    disconnect(redis);
    redis.stream?.destroy();
  }
}

function messageOf(answer: Answer<unknown>): string {
  return "message" in answer ? answer.message : "";
}

/** The values of all answers, converted. If one has no value, that answer. */
function answeredAll<Value, Result>(
  answers: readonly Answer<Value>[],
  convert: (value: Value) => Result | undefined,
): Answer<readonly Result[]> {
  const values: Result[] = [];
  for (const answer of answers) {
    const value = converted(answer, convert);
    if (value.kind !== "value") return value;
    values.push(value.value);
  }
  return answered(values);
}

function numberOf(reply: unknown): number | undefined {
  return typeof reply === "number" ? reply : undefined;
}

function firstOf(reply: unknown): unknown {
  return Array.isArray(reply) ? reply[0] : undefined;
}

function isQuestion(name: string): name is QuestionName {
  return name in questions;
}

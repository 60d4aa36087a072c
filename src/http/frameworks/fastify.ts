/** Read your writes on Fastify. */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from "fastify";
import type { Consistency, ReadOptions } from "../../consistency/read-policy.js";
import { InvalidOptionError } from "../../errors/errors.js";
// Some plugins declare a Session in the module "fastify".
import type { SessionClient, Session as UserSession } from "../../session/session.js";
import type { CarrierResponse } from "../carriers/carrier.js";
import { Dashboard, type DashboardOptions, type DashboardSource } from "../dashboard/dashboard.js";
import { dashboardRequestOf, type NodeRequest } from "../dashboard/node-request.js";
import { refuseEntry, wrongEntry } from "../entries.js";
import { Exchanges, isHttp2, letResponseGo, type MiddlewareOptions } from "../exchange.js";
import { Given } from "../given-object.js";
import { type Route, UrlRoute } from "../late-writes.js";
import type { SessionSource } from "../request-session.js";
import { checkChoice, consistencyFor, type LevelChoice, markersFor, setLevel } from "./markers.js";

export * from "./middleware-exports.js";

declare module "fastify" {
  interface FastifyRequest {
    /** An ioredis client whose reads see what the user has written. */
    readonly redis: SessionClient;
    /** The user's session, which knows what their reads require. */
    readonly consistency: UserSession;
  }

  interface FastifyContextConfig {
    /**
     * The level of the route. It overrides the level that hooks set. If you pass options without a level, they apply to the level
     * that hooks set. Pass a function to choose the level by the request. The function is called before the body is parsed.
     */
    readonly consistency?: LevelChoice<FastifyRequest>;
  }
}

/** The options of the plugin. */
export interface PluginOptions extends MiddlewareOptions<FastifyRequest> {
  /** The Tidemark that opens the sessions of the requests. */
  readonly tidemark: SessionSource;
}

/** A hook for `onRequest`, `preValidation` or `preHandler`, of an app, a scope or a route. */
export type Hook<Request> = (request: Request, reply: unknown, done: (error?: Error) => void) => void;

type Done = (error?: Error) => void;

/** The options of the plugin, and those that Fastify accepts for every plugin. */
const optionNames = ["properties", "tidemark", "prefix", "logLevel", "logSerializers"];

/** The part of a request that a marker uses. It is the same for every type of server. */
type Marked = Pick<FastifyRequest, "headers" | "method" | "url" | "routeOptions">;

/**
 * Gives every request of the scope that it is registered in a session as `request.consistency` and the session's client as
 * `request.redis`. The response brings the user the token of the request's writes: `app.register(readYourWrites, { tidemark,
 * secret })`. Register it first. If routes follow in the same scope, await the registration, so that an invalid
 * `config.consistency` is refused when its route is registered. The headers of a response wait for the writes of the request.
 * Writes that start after the headers were sent, for example while a body is streamed, are reported on `tidemark:late-write`.
 * Rejects with an `InvalidOptionError` for invalid options.
 */
export const readYourWrites = Object.assign(plugin, {
  [Symbol.for("skip-override")]: true,
  [Symbol.for("fastify.display-name")]: "tidemark",
  [Symbol.for("plugin-meta")]: { name: "tidemark", fastify: "5.x" },
});

/** Not async, because Express 4 ignores a rejected promise. */
function plugin(app: FastifyInstance, options: PluginOptions, ...rest: unknown[]): Promise<void> {
  if (typeof app?.addHook !== "function")
    return Promise.resolve(refuseEntry("readYourWrites", "fastify", [app, options, ...rest]));
  return register(app, options);
}

async function register(app: FastifyInstance, options: PluginOptions): Promise<void> {
  const { tidemark } = options;
  if (tidemark === undefined) {
    throw new InvalidOptionError(
      "tidemark",
      tidemark,
      "Call app.register(readYourWrites, { tidemark, secret })",
    );
  }
  const exchanges = new Exchanges(tidemark, options, { routeOf, incomplete: true, options: optionNames });
  decorate(app, exchanges.properties);
  const run = (request: FastifyRequest, done: Done): void => {
    const session = exchanges.openedFor(request)?.session;
    if (session === undefined) done();
    else tidemark.run(session, done);
  };

  app.addHook("onRequest", (request, reply, done) => {
    try {
      open(exchanges, request, reply);
      setConfigured(request);
    } catch (error) {
      return done(error instanceof Error ? error : new Error(String(error)));
    }
    run(request, done);
  });
  // Other plugins, such as session plugins, have added to the request by now.
  app.addHook("preParsing", (request, _reply, _payload, done) => {
    exchanges.openedFor(request)?.begin();
    done();
  });
  // Another hook may have lost the context. Fastify keeps the context while it parses the body.
  app.addHook("preValidation", (request, _reply, done) => run(request, done));
  finishAfterOthers(app, run, exchanges);
}

/** Holds the level of the route's config of a request, to set it again after a hook has set another level. */
class Configured extends Given {
  #level: Consistency;

  private constructor(request: FastifyRequest, level: Consistency) {
    super(request);
    this.#level = level;
  }

  /** With two Tidemarks, this is called twice for one request. */
  static hold(request: FastifyRequest, level: Consistency): void {
    if (#level in request) request.#level = level;
    else new Configured(request, level);
    Configured.set(request);
  }

  /** Sets the level of the route's config, if it has one. */
  static set(request: Marked): void {
    if (#level in request) setLevel(request, () => request.#level, "config.consistency");
  }
}

function setConfigured(request: FastifyRequest): void {
  const { consistency } = request.routeOptions.config;
  if (consistency === undefined) return;
  const level = typeof consistency === "function" ? consistency(request) : consistency;
  Configured.hold(request, level);
}

/**
 * Sets the token in the last `onSend` hook, because Fastify's headers are final only after that hook. The hooks of a route run
 * after all other hooks.
 */
function finishAfterOthers(
  app: FastifyInstance,
  run: (request: FastifyRequest, done: Done) => void,
  exchanges: Exchanges<FastifyRequest>,
): void {
  const ofRoute = Symbol("tidemark.ofRoute");
  const finish = (request: FastifyRequest, reply: FastifyReply, _payload: unknown, done: Done): void => {
    const exchange = isHttp2(reply.raw) ? exchanges.openedFor(request) : undefined;
    if (exchange === undefined) done();
    else exchange.finish(headOf(reply)).then(() => done());
  };
  app.addHook("onRoute", (route: RouteOptions) => {
    const { consistency } = route.config ?? {};
    if (consistency !== undefined) checkChoice(consistency, "config.consistency");
    route.config = Object.assign({}, route.config, { [ofRoute]: true });
    route.onSend = [route.onSend ?? [], finish].flat();
  });
  app.addHook("onSend", (request, reply, payload, done) => {
    // The code that sent the reply may have lost the context.
    run(request, () => {
      const next = (): void => {
        if (ofRoute in request.routeOptions.config) done();
        else finish(request, reply, payload, done);
      };
      const store = exchanges.openedFor(request)?.store;
      if (store === undefined) next();
      else store().then(next);
    });
  });
}

function open(exchanges: Exchanges<FastifyRequest>, request: FastifyRequest, reply: FastifyReply): void {
  const { raw } = reply;
  exchanges.open(request, request.raw, isHttp2(raw) ? undefined : raw, raw);
}

function decorate(app: FastifyInstance, properties: PropertyDescriptorMap): void {
  for (const [name, { get }] of Object.entries(properties)) {
    if (app.hasRequestDecorator(name)) {
      throw new InvalidOptionError(
        "properties",
        name,
        "Choose other names with `properties`, or register readYourWrites only once",
        `got "${name}", which is taken`,
      );
    }
    if (get !== undefined) app.decorateRequest(name, { getter: get });
  }
}

function headOf(reply: FastifyReply): CarrierResponse {
  return {
    getHeader: (name) => reply.getHeader(name),
    setHeader: (name, value) => {
      reply.removeHeader(name);
      return reply.header(name, value);
    },
  };
}

/**
 * Returns a hook that sets the level of the requests that pass through it. Add it after `readYourWrites`. The last level set before
 * a read applies: a route's level overrides its scope's level, and a route's own `config.consistency` overrides both. Throws an
 * `InvalidOptionError` for an invalid level.
 */
export function consistency(level: Consistency, options?: ReadOptions): Hook<Marked>;
// For a hook in a route's options, TypeScript would infer `never` as the request of the third signature.
export function consistency(
  level: (request: FastifyRequest) => Consistency,
  options?: ReadOptions,
): Hook<FastifyRequest>;
export function consistency<Request extends Marked = FastifyRequest>(
  level: LevelChoice<Request>,
  options?: ReadOptions,
): Hook<Request>;
export function consistency<Request extends Marked>(
  level: LevelChoice<Request>,
  options?: ReadOptions,
): Hook<Request> {
  return consistencyFor<Request, Hook<Request>>(marking)(level, options);
}

const markers = markersFor<Marked, Hook<Marked>>(marking);

/** Returns a hook. Reads of the requests that pass through it go to the primary. */
export const strong = markers.strong;

/**
 * Returns a hook. Any healthy node may answer reads of the requests that pass through it. The reads may miss the user's own writes.
 */
export const eventual = markers.eventual;

/**
 * Returns a hook. Reads of the requests that pass through it see the user's own writes and are at most `maxStalenessMs` behind the
 * primary.
 */
export const bounded = markers.bounded;

/**
 * Returns a hook. A write of the requests that pass through it resolves once `replicas` replicas, or all connected ones with
 * `"all"`, have applied the write. If too few replicas apply the write in time, it rejects with a `NotReplicatedError`. Throws an
 * `InvalidOptionError` at once for invalid arguments.
 */
export const replicated = markers.replicated;

function marking<Request extends Marked = FastifyRequest>(
  name: string,
  mark: (request: Request) => void,
): Hook<Request> {
  return function marker(request, reply, done) {
    if (typeof done !== "function") throw wrongEntry(name, "fastify", request, reply);
    try {
      mark(request);
      Configured.set(request);
    } catch (error) {
      return done(error instanceof Error ? error : new Error(String(error)));
    }
    done();
  };
}

/** The part of a request that a dashboard uses. It is the same for every type of server. */
interface Viewed {
  readonly raw: NodeRequest;
}

/** The part of a reply that a dashboard uses. */
interface Shown {
  readonly sent: boolean;
  code(status: number): unknown;
  headers(values: Readonly<Record<string, string>>): unknown;
  send(payload: unknown): unknown;
}

/** A handler for routes. */
export type FastifyHandler<Request> = (request: Request, reply: Shown) => Promise<unknown>;

/**
 * Returns a handler that shows a live page about `tidemark`: `app.get("/tidemark", dashboard(tidemark))`. The page and its feed have
 * the same URL. Without `allow` only requests from the same machine may see it. Everything else is refused with 403. From now on
 * Tidemark keeps the last five minutes. Throws an `InvalidOptionError` at once for invalid options.
 */
export function dashboard(tidemark: DashboardSource): FastifyHandler<Viewed>;
export function dashboard<Request extends Viewed = FastifyRequest>(
  tidemark: DashboardSource,
  options: DashboardOptions<Request>,
): FastifyHandler<Request>;
export function dashboard<Request extends Viewed>(
  tidemark: DashboardSource,
  options?: DashboardOptions<Request>,
): FastifyHandler<Request> {
  const shown = new Dashboard(tidemark, options);

  const answer: FastifyHandler<Request> = async (request, reply) => {
    const { status, headers, body } = await shown.answer(dashboardRequestOf(request.raw), request);
    // A hook or a timeout may have answered while `allow` was waiting.
    if (reply.sent) {
      if (typeof body !== "string") body.destroy();
      return reply;
    }
    reply.code(status);
    reply.headers(headers);
    if (typeof body !== "string") letResponseGo(request);
    return reply.send(body);
  };
  // Not async, because Express 4 ignores a rejected promise.
  return function dashboardHandler(request, reply, ...rest: unknown[]) {
    if (request?.raw === undefined)
      return Promise.resolve(refuseEntry("dashboard", "fastify", [request, reply, ...rest]));
    return answer(request, reply);
  };
}

function routeOf({ method, url, routeOptions }: FastifyRequest): Route {
  return new UrlRoute(method, routeOptions.url, url);
}

/** Compiled, never run: each mistyped option is an error of the compiler, and each line says so itself. */
import type { FastifyInstance } from "fastify";
import { nodeRedis } from "../../src/client/node-redis.js";
import { consistentFetch } from "../../src/http/consistent-fetch.js";
import {
  bounded,
  consistency,
  cookie,
  dashboard,
  header,
  readYourWrites,
  replicated,
  session,
  strong,
} from "../../src/http/frameworks/express.js";
import { readYourWrites as fastifyPlugin } from "../../src/http/frameworks/fastify.js";
import { readYourWrites as koaMiddleware } from "../../src/http/frameworks/koa.js";
import { readYourWrites as webWrapper } from "../../src/http/frameworks/web.js";
import { requestSessions } from "../../src/http/http.js";
import { Tidemark } from "../../src/index.js";

declare const tidemark: Tidemark;
declare const app: FastifyInstance;

const primary = "redis://10.0.0.1";
const secret = "a secret for tests only";

export function mistyped(): void {
  // @ts-expect-error replicas
  new Tidemark({ primary, replcas: [] });
  // @ts-expect-error password of redis
  new Tidemark({ primary, password: "x" });
  // @ts-expect-error maxStalenessMs
  new Tidemark({ sentinels: [primary], name: "orders", maxStaleness: 5 });
  // @ts-expect-error connectTimeout
  new Tidemark({ primary, redis: { conectTimeout: 5 } });
  // @ts-expect-error concurrency
  new Tidemark({ primary, fallbackLimit: { concurency: 5 } });
  // @ts-expect-error session
  new Tidemark({ primary, waitMs: { sesion: 5 } });
  // @ts-expect-error secret
  readYourWrites(tidemark, { secrt: secret });
  // @ts-expect-error carrier
  readYourWrites(tidemark, { secret, carier: cookie() });
  // @ts-expect-error carrier
  koaMiddleware(tidemark, { secret, carier: cookie() });
  // @ts-expect-error no properties on Web requests
  webWrapper(tidemark, { secret, properties: {} });
  // @ts-expect-error level
  webWrapper(tidemark, { secret })(() => new Response(), { levl: "strong" });
  // @ts-expect-error carrier
  requestSessions(tidemark, { secret, carier: cookie() });
  // @ts-expect-error carrier
  app.register(fastifyPlugin, { tidemark, secret, carier: cookie() });
  // @ts-expect-error allow
  dashboard(tidemark, { alow: () => true });
  // @ts-expect-error sameSite
  cookie({ samesite: "lax" });
  // @ts-expect-error name
  header({ nam: "x" });
  // @ts-expect-error overlapMs
  session({ overlap: 5 });
  // @ts-expect-error waitMs
  strong({ wait: 5 });
  // @ts-expect-error waitMs
  bounded(500, { waitms: 5 });
  // @ts-expect-error maxStalenessMs
  consistency({ maxStaleness: 5 });
  // @ts-expect-error timeoutMs
  replicated(1, { timeout: 5 });
  // @ts-expect-error timeoutMs
  tidemark.ready({ timeout: 5 });
  // @ts-expect-error token
  tidemark.session({ tokn: "" });
  // @ts-expect-error origins
  consistentFetch({ orgins: [] });
  // @ts-expect-error modules
  nodeRedis(tidemark.redis, { modlues: {} });
}

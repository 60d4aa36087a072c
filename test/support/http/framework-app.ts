/** The app of the tests, described once for all frameworks. */
import type { RequestListener } from "node:http";
import { Readable } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import type { Consistency } from "../../../src/consistency/read-policy.js";
import type { Carrier } from "../../../src/http/carriers/carrier.js";
import type { SessionSource } from "../../../src/http/request-session.js";
import type { ServerTimingDetail } from "../../../src/http/server-timing.js";
import type { RolloutChoice } from "../../../src/rollout/membership.js";
import type { Session } from "../../../src/session/session.js";

export const secret = "a secret of this test";

/** A level, or a function of what all frameworks say of a request alike. */
export type Choice = Consistency | ((request: { readonly method?: string | undefined }) => Consistency);

/** A request as a handler of no framework sees it. */
export interface Turn {
  readonly session: Session;
  readonly query: URLSearchParams;
  /** The body, by the framework's own way to read it. */
  body(): Promise<string>;
}

export interface Reply {
  readonly status?: number;
  readonly body?: string;
  readonly chunks?: AsyncIterable<string>;
  readonly redirect?: string;
  /** The `Cache-Control` header of a response that is no redirect. */
  readonly cacheControl?: string;
}

/** Throw it to have the framework answer an error. */
export class Refusal extends Error {
  readonly status: number;
  readonly statusCode: number;

  constructor(status: number) {
    super(`refused with ${status}`);
    this.status = status;
    this.statusCode = status;
  }
}

export interface Scene {
  readonly carrier?: Carrier | readonly Carrier[];
  readonly monotonicReads?: boolean;
  readonly serverTiming?: ServerTimingDetail | (() => ServerTimingDetail);
  readonly rollout?: () => RolloutChoice;
  /** Of the app, of the scope or router that all routes are in, and of the route, which has a handler at `/`. */
  readonly levels?: { readonly app?: Choice; readonly scope?: Choice; readonly route?: Choice };
  readonly handler: (turn: Turn) => Promise<Reply> | Reply;
  /** Called by the framework's error handler, before it answers. */
  readonly failed?: (turn: Turn) => Promise<void> | void;
}

export type Framework = (source: SessionSource, scene: Scene) => Promise<RequestListener> | RequestListener;

export function queryOf(url = ""): URLSearchParams {
  return new URL(url, "http://localhost").searchParams;
}

export function chunked({ chunks }: Reply): Readable | undefined {
  return chunks === undefined ? undefined : Readable.from(chunks);
}

export function cachingOf({ cacheControl }: Reply): Record<string, string> {
  return cacheControl === undefined ? {} : { "Cache-Control": cacheControl };
}

/** A body that comes in parts. */
export async function* chunks(...parts: readonly string[]): AsyncGenerator<string> {
  for (const part of parts) {
    await turn();
    yield part;
  }
}

export function refuse(status: number): never {
  throw new Refusal(status);
}

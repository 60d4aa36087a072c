/** Reads requests of Node, which Express, Koa and Fastify are made of. */
import type { IncomingHttpHeaders } from "node:http";
import { type LocalRequest, objectionTo } from "./access.js";
import type { DashboardRequest } from "./dashboard.js";

/** The part of a request of Node that a dashboard reads, over HTTP/1 and HTTP/2. */
export interface NodeRequest extends LocalRequest {
  readonly method?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

export function dashboardRequestOf(request: NodeRequest): DashboardRequest {
  const { method, headers } = request;
  const site = headers["sec-fetch-site"];
  return {
    method,
    accept: headers.accept,
    site: Array.isArray(site) ? site.join() : site,
    objection: () => objectionTo(request),
  };
}

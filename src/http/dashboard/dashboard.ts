/** Answers the requests to the dashboard of a Tidemark: with its page, or with the feed that the page reads. */
import { InvalidOptionError } from "../../errors/errors.js";
import { refuseUnknown } from "../../errors/option-names.js";
import { contentSecurityPolicyOf } from "./content-security-policy.js";
import { Feed, maxViewers } from "./feed.js";
import { page } from "./page.js";
import type { SampledTidemark } from "./samples.js";
import type { Viewer } from "./viewer.js";

/** The options of a dashboard. */
export interface DashboardOptions<Request> {
  /**
   * Whether a request may see the dashboard: only if the function returns or resolves to `true`. Default: only requests from the
   * same machine, by a local name, and without a sign of a proxy. Handlers of Web requests have no such default, because a `Request`
   * does not show where it comes from.
   */
  readonly allow?: (request: Request) => boolean | Promise<boolean>;
}

/** The part of a `Tidemark` that a dashboard shows. */
export type DashboardSource = SampledTidemark;

/** A request as a dashboard sees it. */
export interface DashboardRequest {
  readonly method: string | undefined;
  readonly accept: string | undefined;
  /** The header `Sec-Fetch-Site`. */
  readonly site: string | undefined;
  /** Why the request is not known to come from this machine. Undefined if it does. Not called with the option `allow`. */
  objection(): string | undefined;
}

/** A class, because adapters read each field. */
export class DashboardResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The whole body, or a stream that must be read or destroyed. */
  readonly body: string | Viewer;

  constructor(
    status: number,
    body: string | Viewer,
    headers: Readonly<Record<string, string>> = { "Content-Type": "text/plain; charset=utf-8" },
  ) {
    this.status = status;
    this.body = body;
    this.headers = { ...headersOfAll, ...headers };
  }
}

const headersOfAll = {
  // A proxy or middleware that compresses would hold events back.
  "Cache-Control": "no-store, no-transform",
  Vary: "Accept",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
};
const headersOfFeed = {
  "Content-Type": "text/event-stream; charset=utf-8",
  // nginx holds responses back otherwise.
  "X-Accel-Buffering": "no",
};

const remedy = "To let others see it, pass a function: dashboard(tidemark, { allow: (request) => … }).";

/** The dashboard of one Tidemark, as one handler shows it. */
export class Dashboard<Request> {
  readonly #feed: Feed;
  readonly #headersOfPage = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": contentSecurityPolicyOf(page),
  };
  readonly #allow: DashboardOptions<Request>["allow"];
  #hasWarned = false;

  /** Throws an `InvalidOptionError` for options that cannot work. */
  constructor(source: DashboardSource, options: DashboardOptions<Request> = {}) {
    checkSource(source);
    refuseUnknown("dashboard", options, ["allow"]);
    const { allow } = options;
    if (allow !== undefined && typeof allow !== "function")
      throw new InvalidOptionError("allow", allow, "Pass a function that returns true or false");
    this.#allow = allow;
    this.#feed = Feed.of(source);
  }

  /** Answers a request. `given` is the same request as the framework knows it. Never rejects. */
  async answer(request: DashboardRequest, given: Request): Promise<DashboardResponse> {
    const { method, accept = "", site } = request;
    const refusal = await this.#refusal(request, given);
    if (refusal !== undefined) return new DashboardResponse(403, `${refusal}\n`);
    if (method !== "GET" && method !== "HEAD") {
      const headers = { "Content-Type": "text/plain; charset=utf-8", Allow: "GET, HEAD" };
      return new DashboardResponse(405, "The dashboard answers only GET and HEAD.\n", headers);
    }
    if (!/\btext\/event-stream\b/i.test(accept)) return new DashboardResponse(200, page, this.#headersOfPage);
    if (site !== undefined && site !== "same-origin" && site !== "none")
      return new DashboardResponse(403, "Pages of other sites may not read this feed.\n");
    if (method === "HEAD") return new DashboardResponse(200, "", headersOfFeed);
    const viewer = this.#feed.view();
    if (viewer !== undefined) return new DashboardResponse(200, viewer, headersOfFeed);
    return new DashboardResponse(
      503,
      `${maxViewers} pages show this dashboard already. Close one of them, and reload this page.\n`,
    );
  }

  /** Why the request may not see the dashboard. Undefined if it may. */
  async #refusal(request: DashboardRequest, given: Request): Promise<string | undefined> {
    if (this.#allow === undefined) {
      const objection = request.objection();
      return objection && `Only this machine may see this dashboard of Tidemark, and ${objection}. ${remedy}`;
    }
    try {
      if ((await this.#allow(given)) === true) return undefined;
    } catch (error) {
      this.#warn(error);
    }
    return "You may not see this dashboard of Tidemark: its option `allow` did not return true for this request.";
  }

  /** Warns only the first time, because anybody can send a request. */
  #warn(error: unknown): void {
    if (this.#hasWarned) return;
    this.#hasWarned = true;
    process.emitWarning(
      "The option `allow` of dashboard() threw an error, so Tidemark refused the request. Return false to refuse a request. The " +
        "first error follows.",
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_DASHBOARD_ALLOW",
        detail: error instanceof Error ? error.stack : String(error),
      },
    );
  }
}

function checkSource(source: unknown): void {
  const methods = ["topology", "stats", "health"];
  const isTidemark =
    typeof source === "object" &&
    source !== null &&
    methods.every((name) => typeof Reflect.get(source, name) === "function");
  if (!isTidemark) throw new InvalidOptionError("tidemark", source, "Call dashboard(new Tidemark({ … }))");
}

/** Tokens in the session of a session middleware, which stays on the server. */
import { InvalidOptionError } from "../../errors/errors.js";
import { refuseUnknown } from "../../errors/option-names.js";
import { decodeToken, encodeToken } from "../../session/token.js";
import type { Carrier, CarrierRequest } from "./carrier.js";

export interface SessionCarrierOptions {
  /** The property of the session that holds the token; default `"tidemark"`. Two Tidemarks need different ones. */
  readonly name?: string;
  /**
   * For how long, in milliseconds, two requests of one user may be saving their sessions over each other; default 1000.
   * It has to be longer than a save takes together with what the clocks of app servers differ by.
   */
  readonly overlapMs?: number;
}

/**
 * Keeps the token in `req.session`, so that users are handed none. Mount `readYourWrites` behind the session middleware,
 * which then saves the token with the session; on Fastify before it. Where there is no session yet when the token is
 * looked for, the request is answered by the primary.
 *
 * A session is saved as a whole, so a request may overwrite a token that another one of the same user has stored since.
 * Therefore a session that is written to or changed also says when: replicas then have to have all that the primary
 * had up to `overlapMs` later, or when the request came if that is sooner, which includes what the overwritten token asked for. So
 * for about a second after a session has changed its reads go to the primary; `cookie()` needs no such time. Requests that change nothing must not save:
 * `resave: false`. Throws an `InvalidOptionError` for options that cannot work.
 */
export function session(options: SessionCarrierOptions = {}): Carrier {
  refuseUnknown("session", options, ["name", "overlapMs"]);
  const { name = "tidemark", overlapMs = 1_000 } = options;
  if (typeof name !== "string" || !/^[\w$]{1,64}$/.test(name)) {
    throw new InvalidOptionError("session name", name, "give a name of letters, digits, _ or $");
  }
  if (["cookie", "toJSON"].includes(name) || name in Object.prototype) {
    const remedy = 'give a name of its own, such as "tidemark"';
    throw new InvalidOptionError("session name", name, remedy, "got a name that sessions need themselves");
  }
  if (typeof overlapMs !== "number" || !Number.isFinite(overlapMs) || overlapMs < 0) {
    throw new InvalidOptionError("session overlapMs", overlapMs, "give a number of milliseconds");
  }
  /** What each session said when its request came. */
  const before = new WeakMap<CarrierRequest, string | undefined>();
  /** What was there before it was written to, which may turn out to be needless. */
  const replaced = new WeakMap<Session, unknown>();

  const carrier: Carrier = {
    serverSide: true,

    begin(request) {
      before.set(request, textOf(request.session, name));
    },

    read({ session }) {
      if (session === undefined) {
        throw new Error("There is no req.session: mount readYourWrites behind the session middleware.");
      }
      const text: unknown = isSession(session) ? session[name] : undefined;
      return typeof text === "string" ? [text] : [];
    },

    write(request, _response, token) {
      const { session } = request;
      if (!isSession(session)) return;
      if (!token.changed && textOf(session, name) === before.get(request)) {
        if (replaced.has(session)) session[name] = replaced.get(session);
        return;
      }
      if (!replaced.has(session)) replaced.set(session, session[name]);
      session[name] = stamped(token.text(), overlapMs);
    },
  };
  made.add(carrier);
  return carrier;
}

const made = new WeakSet<object>();

/** Whether it is a carrier that {@link session} has made. */
export function isSessionCarrier(carrier: unknown): boolean {
  return typeof carrier === "object" && carrier !== null && made.has(carrier);
}

type Session = Record<string, unknown>;

function isSession(session: unknown): session is Session {
  return typeof session === "object" && session !== null;
}

/** All that is saved of a session but the token, and but the cookie, which middleware changes by itself. */
function textOf(session: unknown, name: string): string | undefined {
  if (!isSession(session)) return undefined;
  const saved: Session = typeof session.toJSON === "function" ? session.toJSON() : session;
  return JSON.stringify({ ...saved, [name]: undefined, cookie: undefined });
}

/** `token`, or one that requires nothing yet, requiring besides what the primary had up to `overlapMs` from now. */
function stamped(token: string, overlapMs: number): string {
  const now = Date.now();
  const claims = decodeToken(token) ?? { positions: [], pinnedAt: 0 };
  return encodeToken({ ...claims, issuedAt: now, freshAsOf: now + overlapMs });
}

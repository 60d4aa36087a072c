/** Tokens in the session of a session middleware. They stay on the server. */
import { InvalidOptionError } from "../../errors/errors.js";
import { refuseUnknown } from "../../errors/option-names.js";
import { decodeToken, encodeToken } from "../../session/token.js";
import type { Carrier, CarrierRequest } from "./carrier.js";

export interface SessionCarrierOptions {
  /** The property of the session for the token; default `"tidemark"`. Two Tidemarks need different names. */
  readonly name?: string;
  /**
   * How long after a save of `req.session` another request may still overwrite it with older content, in milliseconds. Default
   * 1000. It must be longer than a save takes plus the difference between the clocks of your app servers.
   */
  readonly overlapMs?: number;
}

/**
 * Stores the token in `req.session`, so users get no token. Mount `readYourWrites` after the session middleware, which then saves
 * the token with the session. On Fastify, register it before the session plugin. If there is no session when Tidemark needs the
 * token, the primary answers the reads of the request.
 *
 * A session is saved as a whole. So a request may overwrite a token that another request of the same user has stored meanwhile.
 * Therefore the time T is stored in each session that was changed or has a new token. A replica may answer a later request only if
 * it has everything that the primary had at T + `overlapMs`. If the request arrives earlier than that, its arrival counts instead.
 * This includes the writes of an overwritten token. For about a second after a change, reads of the session therefore go to the primary.
 * `cookie()` needs no such time. Requests that change nothing must not save: set `resave: false`. Throws an `InvalidOptionError`
 * for invalid options.
 */
export function session(options: SessionCarrierOptions = {}): Carrier {
  refuseUnknown("session", options, ["name", "overlapMs"]);
  const { name = "tidemark", overlapMs = 1_000 } = options;
  if (typeof name !== "string" || !/^[\w$]{1,64}$/.test(name)) {
    throw new InvalidOptionError("session name", name, "Pass a name of 1 to 64 letters, digits, _ or $");
  }
  if (["cookie", "toJSON"].includes(name) || name in Object.prototype) {
    const remedy = 'Pass another name, such as "tidemark"';
    throw new InvalidOptionError("session name", name, remedy, "got a name that sessions use themselves");
  }
  if (typeof overlapMs !== "number" || !Number.isFinite(overlapMs) || overlapMs < 0) {
    throw new InvalidOptionError("session overlapMs", overlapMs, "Pass a number of milliseconds, at least 0");
  }
  /** The content of each session when its request arrived. */
  const before = new WeakMap<CarrierRequest, string | undefined>();
  /** The previous token of a session. It is restored if storing a new one turns out to be unnecessary. */
  const replaced = new WeakMap<Session, unknown>();

  const carrier: Carrier = {
    serverSide: true,

    begin(request) {
      before.set(request, textOf(request.session, name));
    },

    read({ session }) {
      if (session === undefined) {
        throw new Error("There is no req.session. Mount readYourWrites after the session middleware.");
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
  sessionCarriers.add(carrier);
  return carrier;
}

const sessionCarriers = new WeakSet<object>();

/** Whether {@link session} has made the carrier. */
export function isSessionCarrier(carrier: unknown): boolean {
  return typeof carrier === "object" && carrier !== null && sessionCarriers.has(carrier);
}

type Session = Record<string, unknown>;

function isSession(session: unknown): session is Session {
  return typeof session === "object" && session !== null;
}

/** The content of a session without the token and without the cookie, which the session middleware changes itself. */
function textOf(session: unknown, name: string): string | undefined {
  if (!isSession(session)) return undefined;
  const saved: Session = typeof session.toJSON === "function" ? session.toJSON() : session;
  return JSON.stringify({ ...saved, [name]: undefined, cookie: undefined });
}

/** Adds to `token`, which may be empty, the requirement that reads see all data that the primary has until `overlapMs` from now. */
function stamped(token: string, overlapMs: number): string {
  const now = Date.now();
  const claims = decodeToken(token) ?? { positions: [], pinnedAt: 0 };
  return encodeToken({ ...claims, issuedAt: now, freshAsOf: now + overlapMs });
}

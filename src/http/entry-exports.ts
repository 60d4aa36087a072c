/** The exports of every entry for HTTP: carriers, and the types of the shared options. */
export type {
  Carrier,
  CarrierRequest,
  CarrierResponse,
  MembershipCarrier,
  OutgoingToken,
} from "./carriers/carrier.js";
export { type CookieOptions, cookie } from "./carriers/cookie.js";
export { type HeaderOptions, header } from "./carriers/header.js";
export type { ReadYourWritesOptions, SessionSource } from "./request-session.js";
export type { ServerTimingChoice, ServerTimingDetail } from "./server-timing.js";

/** Read your writes on servers that no middleware is made for, and over connections that outlive a request. */
export type { Carrier, CarrierRequest, CarrierResponse, OutgoingToken } from "./carriers/carrier.js";
export { type CookieOptions, cookie } from "./carriers/cookie.js";
export { type HeaderOptions, header } from "./carriers/header.js";
export { type SessionCarrierOptions, session } from "./carriers/session.js";
export {
  type ReadYourWritesOptions,
  type RequestSession,
  requestSessions,
  type SessionSource,
} from "./request-session.js";

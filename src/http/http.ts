/** Read your writes on servers that no middleware is made for, and over connections that outlive a request. */
export type { Carrier, CarrierRequest, CarrierResponse, OutgoingToken } from "./carrier.js";
export { type CookieOptions, cookie } from "./cookie.js";
export { type HeaderOptions, header } from "./header.js";
export {
  type ReadYourWritesOptions,
  type RequestSession,
  requestSessions,
  type SessionSource,
} from "./request-session.js";
export { type SessionCarrierOptions, session } from "./stored-session.js";

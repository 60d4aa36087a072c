/** Read your writes on servers that no middleware is made for, and over connections that outlive a request. */
export { type SessionCarrierOptions, session } from "./carriers/session.js";
export * from "./entry-exports.js";
export { type RequestSession, requestSessions } from "./request-session.js";

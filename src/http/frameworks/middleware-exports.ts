/** The exports that all entries with a middleware or a plugin share. */
export { type SessionCarrierOptions, session } from "../carriers/session.js";
export type { DashboardOptions, DashboardSource } from "../dashboard/dashboard.js";
export * from "../entry-exports.js";
export type { MiddlewareOptions, PropertyNames } from "../exchange.js";
export type { LevelChoice } from "./markers.js";

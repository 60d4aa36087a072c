/** What every entry with a middleware or a plugin exports beside its own functions. */
export { type SessionCarrierOptions, session } from "../carriers/session.js";
export * from "../every-entry.js";
export type { MiddlewareOptions, PropertyNames } from "../exchange.js";
export type { LevelChoice } from "./markers.js";

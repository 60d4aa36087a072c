/** The apps that are compared: the same routes, with and without something that costs each request. */
import type { Redis } from "ioredis";

export type Contestant = "plain" | "tidemark" | "signed cookie" | "AsyncLocalStorage";

export interface Servers {
  readonly primary: string;
  readonly replicas: readonly string[];
}

/** What a route needs of a client. */
export type Client = Pick<Redis, "get" | "set">;

/** Both for the signing of tokens and for that of cookies. */
export const secret = "a secret of at least 32 characters, for a bench";
/** The cookie that the apps with a signed cookie use. */
export const cookieName = "session";

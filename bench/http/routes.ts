/** What users ask the apps of this part for, and what they bring. */

export interface Route {
  readonly name: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Whether requests bring the cookies that the app has set for an earlier write. */
  readonly returning?: boolean;
  /** Cookies of others, as most browsers bring them. */
  readonly otherCookies?: readonly string[];
}

export const noCall: Route = { name: "no Redis call", method: "GET", path: "/none" };
export const read: Route = { name: "one read", method: "GET", path: "/read" };
export const readWithToken: Route = {
  name: "one read, user with a token",
  method: "GET",
  path: "/read",
  returning: true,
};
export const write: Route = { name: "one write", method: "POST", path: "/write" };
export const writeThenRead: Route = {
  name: "one write, then a read",
  method: "POST",
  path: "/write-then-read",
};

export const routes: readonly Route[] = [
  noCall,
  read,
  readWithToken,
  {
    ...readWithToken,
    name: "one read, user with a token and other cookies",
    otherCookies: ["theme=dark", "visitor=6f1c3f0e-2b1d-4c8a-9a57-5b7f0d1c2e3f"],
  },
  { name: "five reads at once", method: "GET", path: "/five" },
  write,
  writeThenRead,
];

/** The body of each answer. */
export const value = "value";
/** The keys that all apps use, each of which has that value. */
export const key = "key";
export const fiveKeys = ["key:1", "key:2", "key:3", "key:4", "key:5"] as const;

/** What sessions of express-session hold in tests: who is signed in. */
import "express-session";

declare module "express-session" {
  interface SessionData {
    user: string;
  }
}

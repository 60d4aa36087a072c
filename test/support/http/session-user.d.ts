/** The contents of express-session's sessions in tests: the user who is signed in. */
import "express-session";

declare module "express-session" {
  interface SessionData {
    user: string;
  }
}

/** Read your writes on Express 4 and 5, Connect and plain `node:http`, with types for Express's requests. */
import type { Session, SessionClient } from "../../session/session.js";

export * from "./express-middleware.js";

declare global {
  namespace Express {
    interface Request {
      /** An ioredis client whose reads see what the user has written. */
      readonly redis: SessionClient;
      /** The user's session, which knows what their reads require. */
      readonly consistency: Session;
    }
  }
}

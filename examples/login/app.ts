/** A login with sessions in Redis. Replicas answer the reads of sessions, also in the redirect after the login. */
import { RedisStore } from "connect-redis";
import express, { type Express } from "express";
import session from "express-session";
import type { Level, Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/express";

declare module "express-session" {
  interface SessionData {
    user: string;
  }
}

export function loginApp(tidemark: Tidemark, secret: string, level: Level = "session"): Express {
  const app = express();
  app.use(readYourWrites(tidemark, { secret, level })); // before the session middleware, whose writes it waits for
  app.use(
    session({
      secret,
      store: new RedisStore({ client: tidemark.redis }), // follows the user of the current request
      resave: false,
      saveUninitialized: false,
    }),
  );

  app.post("/login/:user", (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error);
      req.session.user = req.params.user;
      res.redirect("/");
    });
  });

  app.post("/logout", (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.redirect("/")));
  });

  app.get("/", (req, res) => {
    res.json({ user: req.session.user ?? null });
  });
  return app;
}

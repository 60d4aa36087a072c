/** Notes over HTTP and over a websocket. A note that was added in one of the two ways is there in the other at once. */
import { createServer, type Server } from "node:http";
import express from "express";
import type { Session, Tidemark } from "tidemark";
import { cookie, header, readYourWrites } from "tidemark/express";
import { requestSessions } from "tidemark/http";
import { type WebSocket, WebSocketServer } from "ws";

const key = "notes";

/** The page's message: a note to add, and the token that it got over HTTP, if any. */
interface Message {
  readonly add?: string;
  readonly token?: string;
}

export function notesServer(tidemark: Tidemark, secret: string): Server {
  const options = { secret, carrier: [cookie(), header()] };
  const app = express();
  app.use(readYourWrites(tidemark, options));
  app.post("/notes/:text", async (req, res) => {
    await req.redis.rpush(key, req.params.text);
    res.sendStatus(204);
  });
  app.get("/notes", async (req, res) => {
    res.json(await req.redis.lrange(key, 0, -1));
  });

  const server = createServer(app);
  const open = requestSessions(tidemark, options);
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, upgrade) => {
    const { session } = open(upgrade); // it starts with the tokens in the user's cookies, and lasts as long as the socket
    socket.on("message", (data) => {
      answer(session, socket, String(data)).catch(() => socket.close(1011));
    });
  });
  server.on("close", () => sockets.close());
  return server;
}

async function answer(session: Session, socket: WebSocket, text: string): Promise<void> {
  const { add, token }: Message = JSON.parse(text);
  session.addSealed(token);
  if (add !== undefined) await session.redis.rpush(key, add);
  const notes = await session.redis.lrange(key, 0, -1);
  socket.send(JSON.stringify({ notes, token: session.sealed() })); // for the page's next requests, as a header
}

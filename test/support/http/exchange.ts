/** One request to a server of its own, and all that came back. */
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
} from "node:http";
import { buffer } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";

export interface Answer {
  readonly status: number | undefined;
  readonly statusMessage: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Listening extends AsyncDisposable {
  readonly server: Server;
  readonly port: number;
}

/** Listens on a free port of the loopback, or of `host`, until it is disposed of. */
export async function serve(listener: RequestListener | Server, host = "127.0.0.1"): Promise<Listening> {
  const server = (typeof listener === "function" ? createServer(listener) : listener).listen(0, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    server,
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** The answer to one request; a gzipped body is unpacked. */
export async function ask(
  port: number,
  {
    method = "GET",
    path = "/",
    headers = {},
  }: { method?: string; path?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const sent = request({ host: "127.0.0.1", port, method, path, headers, agent: false }).end();
  const [response]: IncomingMessage[] = await once(sent, "response");
  if (response === undefined) throw new Error("no response came");
  const bytes = await buffer(response);
  const body = response.headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes;
  return {
    status: response.statusCode,
    statusMessage: response.statusMessage,
    headers: response.headers,
    body: body.toString(),
  };
}

/** The answer to one request to a server that is made for it. */
export async function exchange(
  listener: RequestListener,
  request?: Parameters<typeof ask>[1],
): Promise<Answer> {
  await using listening = await serve(listener);
  return await ask(listening.port, request);
}

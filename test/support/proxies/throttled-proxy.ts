/** Stands between a client and a server as a slow line: what is short passes at once, what is long comes bit by bit. */

import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type Outlet, TcpProxy } from "./tcp-proxy.js";

const SHORT_BYTES = 2_000;
const PIECE_BYTES = 16_384;
const PIECE_MS = 10;

export class ThrottledProxy extends TcpProxy {
  protected override openOutlet(client: Socket): Outlet {
    let sent = Promise.resolve();
    return {
      write: (chunk) => {
        sent = sent.then(() => send(client, chunk));
      },
      end: () => {
        sent = sent.then(() => client.destroySoon());
      },
    };
  }
}

async function send(client: Socket, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length && !client.destroyed; at += PIECE_BYTES) {
    client.write(chunk.subarray(at, at + PIECE_BYTES));
    if (chunk.length > SHORT_BYTES) await pause(PIECE_MS);
  }
}

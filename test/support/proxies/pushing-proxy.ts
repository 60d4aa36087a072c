/** Stands between a client and a server and puts a push of the server's into what the client is sent, once. */

import type { Socket } from "node:net";
import { type Outlet, TcpProxy } from "./tcp-proxy.js";

/** The push that Redis sends over RESP3 to a connection with tracking when another data set has been loaded. */
export const RELOADED = Buffer.from(">2\r\n$10\r\ninvalidate\r\n_\r\n");

export class PushingProxy extends TcpProxy {
  /** Whether the push has left. */
  hasPushed = false;
  #order: { readonly side: "before" | "behind"; readonly text: string } | undefined;

  /**
   * The next chunk that contains `text` leaves together with a push, which stands in front of it, or behind it; then the
   * client is sent nothing more.
   */
  push(side: "before" | "behind", text: string): void {
    this.#order = { side, text };
  }

  protected override openOutlet(client: Socket): Outlet {
    return {
      write: (chunk) => {
        const side = this.#order && chunk.includes(this.#order.text) ? this.#order.side : undefined;
        if (side === undefined) {
          client.write(chunk);
          return;
        }
        client.write(Buffer.concat(side === "before" ? [RELOADED, chunk] : [chunk, RELOADED]));
        this.#order = undefined;
        this.hasPushed = true;
        if (side === "behind") this.stall();
      },
      end: () => client.destroySoon(),
    };
  }
}

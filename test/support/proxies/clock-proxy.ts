/** Stands between a client and a server and sets the server's clock forward or back, as far as TIME tells. */

import type { Socket } from "node:net";
import { type Outlet, TcpProxy } from "./tcp-proxy.js";

/** No other reply that tests of clocks get is a list of ten digits and something. */
const timeReply = /\*2\r\n\$10\r\n(\d{10})\r\n/g;

export class ClockProxy extends TcpProxy {
  aheadSeconds = 0;

  protected override openOutlet(client: Socket): Outlet {
    return {
      // A reply of some thirty bytes comes in one piece on the loopback.
      write: (chunk) => client.write(Buffer.from(this.#shifted(chunk.toString("latin1")), "latin1")),
      end: () => client.destroySoon(),
    };
  }

  #shifted(text: string): string {
    return text.replace(
      timeReply,
      (_, seconds) => `*2\r\n$10\r\n${String(Number(seconds) + this.aheadSeconds)}\r\n`,
    );
  }
}

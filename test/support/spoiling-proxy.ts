/** Stands between a replica and its primary and makes every snapshot one of a format that no server can load. */

import type { Socket } from "node:net";
import { type Outlet, TcpProxy } from "./tcp-proxy.js";

const HEADER = Buffer.from("REDIS00");
const UNKNOWN_VERSION = "99";

export class SpoilingProxy extends TcpProxy {
  protected override openOutlet(client: Socket): Outlet {
    return {
      write: (chunk) => {
        const at = chunk.indexOf(HEADER);
        if (at >= 0) chunk.write(UNKNOWN_VERSION, at + HEADER.length);
        client.write(chunk);
      },
      end: () => client.destroySoon(),
    };
  }
}

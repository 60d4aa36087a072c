/** Stands between a replica and its primary and makes every snapshot one that cannot be loaded. */

import type { Socket } from "node:net";
import { type Outlet, TcpProxy } from "./tcp-proxy.js";

const HEADER = Buffer.from("REDIS00");
const UNKNOWN_VERSION = "99";
/** Followed by a version that is looked at before anything is flushed. */
const CHECKED_HEADER = Buffer.from("VALKEY080");

export class SpoilingProxy extends TcpProxy {
  protected override openOutlet(client: Socket): Outlet {
    return {
      write: (chunk) => {
        const at = chunk.indexOf(HEADER);
        if (at >= 0) chunk.write(UNKNOWN_VERSION, at + HEADER.length);
        const checkedAt = chunk.indexOf(CHECKED_HEADER);
        if (checkedAt < 0) client.write(chunk);
        else client.end(chunk.subarray(0, checkedAt + CHECKED_HEADER.length));
      },
      end: () => client.destroySoon(),
    };
  }
}

/** Stands between a client and a server and changes what the server says in its INFO. */

import type { Socket } from "node:net";
import { type Outlet, TcpProxy } from "./tcp-proxy.js";

const header = /[$=](\d+)\r\n(?=(txt:)?# )/g;

export class RewritingProxy extends TcpProxy {
  /** Changes the text of an INFO. */
  rewrite: (text: string) => string = (text) => text;

  protected override openOutlet(client: Socket): Outlet {
    return {
      write: (chunk) => client.write(Buffer.from(this.#rewritten(chunk.toString("latin1")), "latin1")),
      end: () => client.destroySoon(),
    };
  }

  #rewritten(replies: string): string {
    let rewritten = "";
    let from = 0;
    for (const match of replies.matchAll(header)) {
      const start = match.index + match[0].length;
      const end = start + Number(match[1]);
      const text = this.rewrite(replies.slice(start, end));
      rewritten += `${replies.slice(from, match.index)}${match[0][0]}${text.length}\r\n${text}`;
      from = end;
    }
    return rewritten + replies.slice(from);
  }
}

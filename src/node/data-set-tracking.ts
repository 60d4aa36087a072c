/**
 * Notices that a server has loaded another data set. The server reports this by RESP3's client tracking, on the connection that
 * also carries the replies.
 */
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";

/** The push that Redis sends to a tracking connection when all data is replaced or flushed. */
const frame = Buffer.from(">2\r\n$10\r\ninvalidate\r\n_\r\n");
const frameStart = ">".charCodeAt(0);
const nothing: Buffer = Buffer.alloc(0);
/** Without tracking, a position is believed for only this part of the usual time. */
const untrackedShare = 1 / 5;

/**
 * With `CLIENT TRACKING ON OPTIN` a server remembers no keys, so tracking costs nothing per command. The server still pushes
 * `invalidate` with null before the first reply from another data set. A partial resynchronization replaces no data and pushes
 * nothing.
 */
export class DataSetTracking {
  /** Whether the server of this connection has confirmed that it tracks. */
  #isOn = false;

  /**
   * Turns tracking on for a new TCP connection. Call it before any command is sent whose reply has to be believed. `onReload` is
   * called when a push has arrived, but before ioredis reads any reply that came with the push.
   */
  begin(connection: Connection, onReload: () => void): void {
    this.#isOn = false;
    const { redis } = connection;
    // ioredis 5 speaks only RESP2, in which a server pushes nothing.
    if (redis.condition?.protocol !== 3) return;
    const search = new FrameSearch();
    redis.stream.prependListener("data", (chunk: Buffer) => {
      if (search.finds(chunk)) onReload();
    });
    const command = new Command("client", ["TRACKING", "ON", "OPTIN"]);
    const { resolve } = command;
    command.resolve = (reply) => {
      this.#isOn = true;
      return resolve(reply);
    };
    // Without tracking, the position is asked for more often instead.
    command.reject = () => resolve(null);
    connection.send(command);
  }

  /** How long a position that was reported on this connection is believed, in milliseconds: `probeIntervalMs` or a part of it. */
  trustMs(probeIntervalMs: number): number {
    return this.#isOn ? probeIntervalMs : probeIntervalMs * untrackedShare;
  }
}

/**
 * Finds the `invalidate` push in a stream of chunks, also if it is split between chunks. The same bytes in a value count as a push,
 * too.
 */
export class FrameSearch {
  /** The last bytes of the stream so far, if a push may begin in them. */
  #begun = nothing;

  finds(chunk: Buffer): boolean {
    const text = this.#begun === nothing ? chunk : Buffer.concat([this.#begun, chunk]);
    const start = text.indexOf(frameStart, Math.max(0, text.length - frame.length + 1));
    this.#begun = start < 0 ? nothing : text.subarray(start);
    return text.includes(frame);
  }
}

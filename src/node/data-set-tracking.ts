/** How a server says that it has loaded another data set: by RESP3's tracking, on the connection whose replies change. */
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";

/** What Redis pushes to a connection that tracks when all its data is replaced or flushed. */
const frame = Buffer.from(">2\r\n$10\r\ninvalidate\r\n_\r\n");
const frameStart = ">".charCodeAt(0);
const nothing: Buffer = Buffer.alloc(0);
/** Where the server says nothing by itself, a position is believed for this part of the usual time. */
const untrackedShare = 1 / 5;

/**
 * With `CLIENT TRACKING ON OPTIN` a server remembers no key, so it costs nothing per command, but it pushes `invalidate`
 * with null before the first reply from another data set. A partial resynchronization pushes nothing and replaces nothing.
 */
export class DataSetTracking {
  /** Whether the server of this connection has promised to push. */
  #isOn = false;

  /**
   * Asks for it on a new TCP connection, in front of everything that is to be believed. `onReload` is called when a push has
   * arrived, but before ioredis reads any reply that came with it.
   */
  begin(connection: Connection, onReload: () => void): void {
    this.#isOn = false;
    const { redis } = connection;
    // ioredis 5 knows no other protocol than RESP2, in which a server pushes nothing.
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
    // The position is asked for more often instead.
    command.reject = () => resolve(null);
    connection.send(command);
  }

  /** How long a position that was told on this connection is believed, of `probeIntervalMs`. */
  trustMs(probeIntervalMs: number): number {
    return this.#isOn ? probeIntervalMs : probeIntervalMs * untrackedShare;
  }
}

/** Finds the frame in a stream of chunks, which may split it anywhere. The same bytes in a value are found too. */
export class FrameSearch {
  /** The end of what came so far, if a frame may begin in it. */
  #begun = nothing;

  finds(chunk: Buffer): boolean {
    const text = this.#begun === nothing ? chunk : Buffer.concat([this.#begun, chunk]);
    const start = text.indexOf(frameStart, Math.max(0, text.length - frame.length + 1));
    this.#begun = start < 0 ? nothing : text.subarray(start);
    return text.includes(frame);
  }
}

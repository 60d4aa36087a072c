/** READONLY or READWRITE: how a node of a cluster treats the commands of one connection. */
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";

type Mode = "readonly" | "readwrite";

export class ClusterMode {
  #mode: Mode | undefined;

  /** Sends `mode` now if the connection is ready. `announce` sends it at the start of every later connection. */
  set(mode: Mode, connection: Connection): void {
    if (this.#mode === mode) return;
    this.#mode = mode;
    if (connection.ready) this.announce(connection);
  }

  announce(connection: Connection): void {
    if (this.#mode !== undefined) sendMode(this.#mode, connection);
  }

  /** Calls `send`. The server treats the commands that `send` sends as those of a client without READONLY. */
  asWriter(connection: Connection, send: () => void): void {
    const isReader = this.#mode === "readonly";
    if (isReader) sendMode("readwrite", connection);
    send();
    if (isReader) sendMode("readonly", connection);
  }
}

function sendMode(mode: Mode, connection: Connection): void {
  const command = new Command(mode);
  // If the server refuses READONLY, each read on this connection fails by itself.
  command.reject = () => {};
  connection.send(command);
}

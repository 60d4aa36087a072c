/** What a connection says first: which of its roles in a cluster a server has for it. */
import { Command } from "ioredis";
import type { Connection } from "../connection/connection.js";

type Role = "readonly" | "readwrite";

export class ClusterMode {
  #role: Role | undefined;

  /** Says `role` at once where there is a connection, and first on every later one. */
  take(role: Role, connection: Connection): void {
    if (this.#role === role) return;
    this.#role = role;
    if (connection.ready) this.say(connection);
  }

  say(connection: Connection): void {
    if (this.#role !== undefined) sendRole(this.#role, connection);
  }

  /** Calls `send` so that the server takes what it sends for that of a client that is not READONLY. */
  asWriter(connection: Connection, send: () => void): void {
    const isReader = this.#role === "readonly";
    if (isReader) sendRole("readwrite", connection);
    send();
    if (isReader) sendRole("readonly", connection);
  }
}

function sendRole(role: Role, connection: Connection): void {
  const command = new Command(role);
  // A server that refuses READONLY refuses each read by itself.
  command.reject = () => {};
  connection.send(command);
}

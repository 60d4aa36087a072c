/** What a connection says first: which of its roles in a cluster a server has for it. */
import { Command } from "ioredis";
import type { Connection } from "./connection.js";

type Role = "readonly" | "readwrite";

export class Greeting {
  #role: Role | undefined;

  /** Says `role` at once where there is a connection, and first on every later one. */
  take(role: Role, connection: Connection): void {
    if (this.#role === role) return;
    this.#role = role;
    if (connection.ready) this.say(connection);
  }

  say(connection: Connection): void {
    if (this.#role === undefined) return;
    const command = new Command(this.#role);
    // Who forbids it answers no reads, and says so to each.
    command.reject = () => {};
    connection.send(command);
  }
}

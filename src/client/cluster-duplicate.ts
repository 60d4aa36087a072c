/** The client that `duplicate()` returns in a cluster, where a connection to one server reaches only part of the data. */
import type { Command, RedisOptions } from "ioredis";
import type { CommandStream } from "../connection/auto-pipeline.js";
import { ClosedError } from "../errors/errors.js";
import type { Context } from "../session/context.js";
import type { CommandRouter } from "./command-dispatch.js";
import { type ConnectionLifecycle, RoutedRedis } from "./redis-client.js";

/** Routes the commands of one client over connections that close with that client. */
interface OwnRouting extends CommandRouter {
  readonly pool: { connectionName: string | undefined };
  open(): void;
  close(): void;
  /** Resolves when all commands on dedicated connections are answered. */
  drained(): Promise<void>;
}

/** The client belongs to no request, even if a request handler calls it. */
const nobody: Context = { get: () => undefined, run: (_session, fn) => fn() };

/**
 * Sends each command to the primary of the command's key, over the shared connections. Blocking commands use dedicated
 * connections, which close with this client.
 */
export class ClusterDuplicate extends RoutedRedis {
  protected readonly life: { isOver: boolean };
  protected readonly router: OwnRouting;

  /** `router` serves only this client. `onEnd` is called when the client is closed. */
  constructor(
    options: RedisOptions,
    router: OwnRouting,
    original: ConnectionLifecycle,
    onEnd: (client: ClusterDuplicate) => void,
  ) {
    const life = { isOver: false };
    const end = async (): Promise<void> => {
      if (life.isOver) return;
      life.isOver = true;
      router.close();
      this.subscriber.close();
      onEnd(this);
      for (const event of ["close", "end"]) this.emitOutsideSessions(event);
    };
    super(options, router, nobody, {
      ...original,
      connect: async () => {
        if (!life.isOver) throw new Error("Redis is already connecting/connected");
        life.isOver = false;
        router.open();
        this.subscriber.open();
      },
      reconnect: () => {},
      quit: async () => {
        await router.drained();
        await end();
      },
      close: end,
    });
    this.life = life;
    this.router = router;
    router.pool.connectionName = options.connectionName;
    const status = (): unknown => (life.isOver ? "end" : (original.primary()?.redis.status ?? "connecting"));
    Object.defineProperty(this, "status", { get: status, set: () => {}, configurable: true });
  }

  override sendCommand(command: Command, stream?: CommandStream): unknown {
    const [subcommand, name] = command.args;
    if (this.life.isOver) command.reject(new ClosedError());
    else if (command.name === "client" && String(subcommand).toLowerCase() === "setname") {
      // Libraries name their blocking connections, to find them again in CLIENT LIST.
      this.router.pool.connectionName = String(name);
      command.resolve(Buffer.from("OK"));
    } else return super.sendCommand(command, stream);
    return command.promise;
  }
}

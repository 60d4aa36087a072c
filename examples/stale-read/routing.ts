/** The five ways to route reads that the demo compares. */
import type { Request, RequestHandler } from "express";
import { Redis } from "ioredis";
import { Tidemark } from "tidemark";
import { readYourWrites } from "tidemark/express";

/** URLs of the servers that all routings share. */
export interface Servers {
  readonly primary: string;
  readonly replicas: readonly string[];
}

/** A routing in use. Its middleware gives each request its `req.redis`. */
export interface Routing {
  readonly middleware: RequestHandler;
  close(): Promise<void>;
}

/** A routing by the name the table shows. */
export interface RoutingChoice {
  readonly name: string;
  open(servers: Servers): Routing;
}

type Cart = Record<string, string>;
type ReadCart = (key: string) => Promise<Cart>;

const stickyMs = 2_000;
const stickyCookie = "on_primary";

export const everythingOnThePrimary: RoutingChoice = {
  name: "everything on the primary",
  open: (servers) => plain(servers, ({ primary }) => primary.hgetall.bind(primary)),
};

export const replicasAtRandom: RoutingChoice = {
  name: "replicas at random",
  open: (servers) => plain(servers, (clients) => (key) => clients.anyReplica().hgetall(key)),
};

/** Finds a cart that no replica has yet. But if a replica has an older version of the cart, the user gets that. */
export const replicaFirst: RoutingChoice = {
  name: "replica first, primary on a miss",
  open: (servers) =>
    plain(servers, (clients) => async (key) => {
      const found = await clients.anyReplica().hgetall(key);
      return Object.keys(found).length > 0 ? found : clients.primary.hgetall(key);
    }),
};

/** What web frameworks offer: after a write, a cookie sends the user's reads to the primary for a while. */
export const stickyAfterWrite: RoutingChoice = {
  name: `${stickyMs / 1000} s on the primary after a write`,
  open(servers) {
    const { middleware, close } = plain(servers, (clients, request) => (key) => {
      const sticks = request.headers.cookie?.includes(`${stickyCookie}=`) ?? false;
      return (sticks ? clients.primary : clients.anyReplica()).hgetall(key);
    });
    return {
      middleware(req, res, next) {
        if (req.method !== "GET") res.cookie(stickyCookie, "1", { maxAge: stickyMs, httpOnly: true });
        middleware(req, res, next);
      },
      close,
    };
  },
};

export const tidemark: RoutingChoice = {
  name: "Tidemark",
  open({ primary, replicas }) {
    const tidemark = new Tidemark({ primary, replicas });
    const middleware = readYourWrites(tidemark, { secret: "a secret only this demo uses" });
    return { middleware, close: () => tidemark.close() };
  },
};

/** In the order of the table. */
export const routingChoices: readonly RoutingChoice[] = [
  everythingOnThePrimary,
  replicasAtRandom,
  replicaFirst,
  stickyAfterWrite,
  tidemark,
];

/** Behaves like `client`, except that `readCart` reads carts. */
export function withReadCart(client: Redis, readCart: ReadCart): Redis {
  return Object.create(client, { hgetall: { value: readCart } });
}

/** Makes `client` the `req.redis` of a request, also if the request has one already. */
export function giveRedis(request: Request, client: Redis): void {
  Object.defineProperty(request, "redis", { value: client, configurable: true });
}

/** One ioredis client for each server. */
class PlainClients {
  readonly primary: Redis;
  readonly #replicas: readonly Redis[];

  constructor({ primary, replicas }: Servers) {
    this.primary = new Redis(primary);
    this.#replicas = replicas.map((url) => new Redis(url));
  }

  anyReplica(): Redis {
    return this.#replicas[Math.floor(Math.random() * this.#replicas.length)] ?? this.primary;
  }

  close(): void {
    for (const client of [this.primary, ...this.#replicas]) client.disconnect();
  }
}

function plain(servers: Servers, reader: (clients: PlainClients, request: Request) => ReadCart): Routing {
  const clients = new PlainClients(servers);
  return {
    middleware(req, _res, next) {
      giveRedis(req, withReadCart(clients.primary, reader(clients, req)));
      next();
    },
    close: async () => clients.close(),
  };
}

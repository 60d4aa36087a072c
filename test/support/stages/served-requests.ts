/** Requests that are served at once, and what each finds the current session to be on its way. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { RouteMessage, Session, Tidemark } from "../../../src/index.js";
import type { Context } from "../../../src/session/context.js";

/** One request. */
export interface Passenger {
  readonly key: string;
  readonly session: Session;
  /** Notes whose the current session is; called wherever the request's own code runs. */
  look(): void;
}

/** The findings of one request. */
export interface Journey {
  readonly looks: number;
  readonly strays: number;
  /** How many of its commands were routed at its own level. */
  readonly commands: number;
}

export interface Ride {
  readonly tidemark: Tidemark;
  readonly context: Context;
  readonly passengers: number;
  readonly travel: (passenger: Passenger) => Promise<unknown>;
}

let rides = 0;

/** Has all travel at once, each in a session of its own that is known by its level, and tells what each found. */
export async function ride({ tidemark, context, passengers, travel }: Ride): Promise<Journey[]> {
  const firstMs = 20_000 + 1_000 * rides++;
  const commands = new Map<number, number>();
  const listener = (message: unknown): void => {
    const { level } = message as RouteMessage;
    const ms = typeof level === "object" ? level.maxStalenessMs : 0;
    commands.set(ms, (commands.get(ms) ?? 0) + 1);
  };
  subscribe("tidemark:route", listener);
  try {
    const looked = Array.from({ length: passengers }, async (_, i) => {
      const session = tidemark.session({ level: { maxStalenessMs: firstMs + i } });
      let [looks, strays] = [0, 0];
      const look = (): void => {
        looks += 1;
        if (context.get() !== session) strays += 1;
      };
      await tidemark.run(session, () => travel({ key: `passenger:${i}`, session, look }));
      return { looks: () => looks, strays: () => strays, ms: firstMs + i };
    });
    const all = await Promise.all(looked);
    return all.map(({ looks, strays, ms }) => ({
      looks: looks(),
      strays: strays(),
      commands: commands.get(ms) ?? 0,
    }));
  } finally {
    unsubscribe("tidemark:route", listener);
  }
}

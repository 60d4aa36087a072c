/** Assigns users to the buckets of a rollout, the same in every process. */
import { hash, randomInt } from "node:crypto";
import { InvalidOptionError } from "../errors/errors.js";

/** How many equal parts the users are divided into. A rollout to 5 % has the first twentieth of them. */
export const buckets = 10_000;

/** One of the equal parts of all users. A class, because the number of a bucket must not be taken for the id of a user. */
export class Bucket {
  /** From 0 to 9999. */
  readonly index: number;

  constructor(index: number) {
    this.index = index;
  }

  /** The bucket of the user with this id. Equal ids have equal buckets, also in other processes. */
  static of(id: string): Bucket {
    return new Bucket(Number.parseInt(hash("sha256", id).slice(0, 12), 16) % buckets);
  }

  /** A bucket for a user of whom nothing is known yet. */
  static any(): Bucket {
    return new Bucket(randomInt(buckets));
  }
}

/**
 * What an app says of a user: an id that never changes, or whether the user is included whatever the share is. Undefined and null
 * mean that the app does not know the user.
 */
export type RolloutChoice = string | number | bigint | boolean | null | undefined;

/** Where a user stands in a rollout. Undefined if nothing is known of the user. */
export type Membership = Bucket | boolean | undefined;

/** Throws an `InvalidOptionError` if `choice` cannot be used. */
export function membershipOf(choice: unknown): Membership {
  if (choice === undefined || typeof choice === "boolean" || choice instanceof Bucket) return choice;
  if (typeof choice === "string" || typeof choice === "number" || typeof choice === "bigint") {
    // An empty id would put all users without an id into one bucket, and so would NaN.
    const isKnown = choice !== "" && !Number.isNaN(choice);
    return isKnown ? Bucket.of(String(choice)) : undefined;
  }
  if (choice === null) return undefined;
  throw new InvalidOptionError("rollout", choice, "Pass an id of the user, or true or false");
}

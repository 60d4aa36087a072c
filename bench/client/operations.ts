/** What every client that is compared can do. */

export const key = "key";
export const value = "value";

/** The servers, by their URLs. */
export interface Servers {
  readonly primary: string;
  readonly replicas: readonly string[];
}

export type Operation = () => Promise<unknown>;

export interface Operations {
  /** One read of a key that is there, from a replica. */
  readonly read: Operation;
  readonly write: Operation;
  /** By a session of its own. */
  readonly readAnew?: Operation;
  /** By a session of its own that requires what `write` has written last, of which this client does not know where it is. */
  readonly readChecked?: Operation;
  /** Has it written elsewhere, and waits until all replicas have it. */
  readonly unsettle?: () => Promise<void>;
  readonly close: () => Promise<void>;
}

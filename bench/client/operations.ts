/** The operations by which clients are compared. */

export const key = "key";
export const value = "value";

/** The servers, by their URLs. */
export interface Servers {
  readonly primary: string;
  readonly replicas: readonly string[];
}

/** Resolves with the value that was read, or with the answer to the write. */
export type Operation = (token: string) => Promise<unknown>;

export type What = "read" | "readAnew" | "readChecked" | "readWithPing" | "readWithInfo" | "write";

export interface Operations extends Readonly<Partial<Record<What, Operation>>> {
  /** One read of a key that exists, from a replica. */
  readonly read: Operation;
  readonly write: Operation;
  /** One read in a session of its own. */
  readonly readAnew?: Operation;
  /** One read in a session that requires `token`. This client does not know which server has the position of the token. */
  readonly readChecked?: Operation;
  /** PING and a read, in one pipeline. */
  readonly readWithPing?: Operation;
  /** INFO replication and a read, in one pipeline. */
  readonly readWithInfo?: Operation;
}

/** The data of a job and of its result. */

export const queueName = "orders";

export interface Order {
  readonly order: string;
  /** The `session.token()` of the request that made the job. */
  readonly consistency: string;
}

export interface Confirmation {
  /** The item of the order. Null if the worker did not find the order. */
  readonly item: string | null;
  /** The `session.token()` of the worker, for its writes. */
  readonly consistency: string;
}

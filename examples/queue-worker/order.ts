/** What the app and its worker say to each other. */

export const queueName = "orders";

export interface Order {
  readonly order: string;
  /** What the request that made the job requires: `session.token()`. */
  readonly consistency: string;
}

export interface Confirmation {
  /** The item that the worker found ordered; null when it did not find the order. */
  readonly item: string | null;
  /** What the worker's writes require. */
  readonly consistency: string;
}

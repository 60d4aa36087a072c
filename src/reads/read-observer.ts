/** Defines who may look at reads that go to the primary because of their level or because their session is not live. */
import type { PendingRead } from "./read.js";

export interface ReadObserver {
  /** Called before `read` is sent. It may call `read.onEnd`, but must neither throw nor change anything else about the read. */
  observe(read: PendingRead): void;
}

/** Abilities that only some of the servers have that the tests may run on. */

import { findRedisServer } from "./redis-binary.js";

const { flavour, major, version } = await findRedisServer();
const isRedis6 = flavour === "redis" && major < 7;

/** Whether a primary that is restarted from its snapshot names the history that it had before. */
export const keepsHistory = !isRedis6;

/** Whether there are EVAL_RO and its kin. */
export const hasReadOnlyScripts = !isRedis6;

/** Whether a server that loads a snapshot can be told how to, before and meanwhile; else it looks for commands every 2 MB. */
export const isToldHowToLoad = !isRedis6;

/** Whether Sentinels can be told to look more often than once a second. */
export const canHurrySentinels = !isRedis6;

/** Whether CLUSTER SETSLOT is carried out only when all replicas have it, so that none of them can miss it. */
export const migratesWithReplicas = flavour === "valkey" && major >= 8;

/** Whether there is WAITAOF. */
export const hasWaitAof = flavour === "valkey" || major > 7 || /^7\.[2-9]/.test(version);

/** Whether a server can be told its availability zone, and tells it. */
export const tellsZone = flavour === "valkey" && major >= 8;

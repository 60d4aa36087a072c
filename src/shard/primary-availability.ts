/** Waits for a primary that may be asked, and says why there is none when the wait ends. */

import type { WhenReady } from "../connection/offline-queue.js";
import { NotPrimaryError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import { rightfulPrimary } from "./node-state.js";
import type { Shard } from "./shard.js";

/** How often a command is sent again that servers have proven not to have carried out, or that changes nothing. */
export const maxRepeats = 3;
const promotionPatienceMs = 1_000;
/** How long commands wait for the next primary where nobody but the servers themselves says which one it is. */
const handOverPatienceMs = 3_000;

/**
 * Calls `start` when there is a connection to a server that is not known to have become a replica, and answers; or with
 * the reason when there is none in time. Commands start in the order in which they were given: `isReturned` is for one
 * that was sent before and came back, so that it goes ahead of commands that were given later. `since` is when the
 * command began to wait.
 */
export function whenPrimary(
  shard: Shard,
  command: string,
  start: WhenReady,
  isReturned = false,
  since?: number,
): void {
  if (shard.primaryWaiters.isEmpty && shard.hasPrimary) {
    start();
    return;
  }
  const givenAt = since ?? performance.now();
  if (shard.primaryWaiters.isEmpty && isUpToConnection(shard)) whenConnected(shard, command, start, givenAt);
  else waitInVacancy(shard, command, start, isReturned, givenAt);
}

/** Whether the wait is the connection's affair: nobody else says who the primary is. */
function isUpToConnection({ primary: { connection }, demoted, isHandedOver, options }: Shard): boolean {
  if (connection.closed || connection.refuses) return true;
  return !connection.ready && !demoted && isHandedOver && !options.hasArbiter;
}

function whenConnected(shard: Shard, command: string, start: WhenReady, since: number): void {
  const { primary } = shard;
  shard.watch();
  const settle = (error?: Error): void => {
    if (shard.primary === primary) start(error);
    else whenPrimary(shard, command, start, false, since);
  };
  primary.connection.whenReady(settle, { command, since });
}

function waitInVacancy(
  shard: Shard,
  command: string,
  start: WhenReady,
  isReturned: boolean,
  since: number,
): void {
  shard.primary.connection.connectIfLazy();
  shard.watch();
  const attempt = (): boolean => {
    const refusal = refusalSince(shard, since);
    if (shard.hasPrimary) start();
    else if (isUpToConnection(shard)) whenConnected(shard, command, start, since);
    else if (refusal !== undefined) start(refusal);
    else return false;
    return true;
  };
  shard.primaryWaiters.add({
    attempt,
    giveUp: () => start(absence(shard, command)),
    isReturned,
    // Another primary may be named meanwhile; it is there only when the one before it has answered or was given up.
    get until() {
      return shard.isHandedOver ? patienceOf(shard, since) : Number.POSITIVE_INFINITY;
    },
  });
}

/** Until when a command may wait that was given at `since`. */
function patienceOf(shard: Shard, since: number): number {
  const { demoted, primary, primarySince, options } = shard;
  const { ready, server, downSince } = primary.connection;
  if (demoted && !options.hasArbiter) return since + Math.min(handOverPatienceMs, options.primaryTimeoutMs);
  if (server.maxRetriesPerRequest === null) return Number.POSITIVE_INFINITY;
  const latest = since + options.primaryTimeoutMs;
  if (demoted) return Math.min(latest, since + promotionPatienceMs);
  if (ready || !options.hasArbiter) return latest;
  // Not for long after the primary was lost, since then everybody knows; and after another one was named, which has
  // closed all connections when it was promoted.
  return Math.min(latest, Math.max(downSince, primarySince) + promotionPatienceMs);
}

/** What the primary has refused a handshake with since then. */
function refusalSince({ primary: { connection } }: Shard, since: number): Error | undefined {
  const { refusal } = connection;
  return refusal !== undefined && refusal.at >= since ? refusal.error : undefined;
}

function absence(shard: Shard, command: string): Error {
  const { connection } = shard.primary;
  if (shard.demoted && !connection.closed)
    return new NotPrimaryError(command.toUpperCase(), connection.address, rightfulPrimary(shard));
  return connection.absence(command);
}

/** Resolves when the primary is connected, or the one that takes its place; rejects when none is after `timeoutMs`. */
export function whenConnectedWithin(shard: Shard, command: string, timeoutMs: number): Promise<void> {
  const since = performance.now();
  shard.primary.connection.connectIfLazy();
  return new Promise((resolve, reject) => {
    const attempt = (): boolean => {
      const { connection } = shard.primary;
      const error = refusalSince(shard, since) ?? connection.over;
      if (connection.answers) resolve();
      else if (error !== undefined) reject(error);
      return connection.answers || error !== undefined;
    };
    const giveUp = (): void => reject(shard.primary.connection.absence(command));
    if (!attempt()) shard.absence.add({ attempt, giveUp, until: since + timeoutMs });
  });
}

/** Whether `node` is the primary by everything that is known: it has neither said that it is a replica nor refused a write. */
export function isStillPrimary(shard: Shard, node: Node): boolean {
  return shard.primary === node && !shard.demoted;
}

/** Whether commands are traced, and that nobody pays for tracing otherwise. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Redis } from "ioredis";
import { afterEach, expect, it } from "vitest";
import { areCommandsTraced } from "../../src/commands/tracers.js";

const original = Redis.prototype.sendCommand;

afterEach(() => {
  Redis.prototype.sendCommand = original;
});

it("commands are not traced by default", () => {
  expect(areCommandsTraced()).toBe(false);
});

it("commands are traced while `sendCommand` of ioredis is replaced", () => {
  Redis.prototype.sendCommand = function (...args) {
    return original.apply(this, args);
  };
  expect(areCommandsTraced()).toBe(true);
  Redis.prototype.sendCommand = original;
  expect(areCommandsTraced()).toBe(false);
});

it("commands are traced while the channel of ioredis has a subscriber", () => {
  const listener = (): void => {};
  subscribe("tracing:ioredis:command:start", listener);
  expect(areCommandsTraced()).toBe(true);
  unsubscribe("tracing:ioredis:command:start", listener);
  expect(areCommandsTraced()).toBe(false);
});

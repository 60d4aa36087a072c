import { Command } from "ioredis";
import { describe, expect, it } from "vitest";
import { cannotShowMissingKey, mayBeMissingKey } from "../../src/commands/missing-key.js";

type Call = [name: string, args: string[], reply: unknown];

const misses: Call[] = [
  ["get", ["k"], null],
  ["strlen", ["k"], 0],
  ["getrange", ["k", "0", "1"], Buffer.from("")],
  ["ttl", ["k"], -2],
  ["ttl", ["k"], "-2"],
  ["strlen", ["k"], "0"],
  ["bitpos", ["k", "1"], -1],
  ["bitpos", ["k", "1"], "-1"],
  ["getrange", ["k", "0", "1"], ""],
  ["type", ["k"], Buffer.from("none")],
  ["type", ["k"], "none"],
  ["hgetall", ["k"], []],
  ["hgetall", ["k"], new Map()],
  ["smembers", ["k"], new Set()],
  ["hmget", ["k", "a", "b"], [null, null]],
  ["smismember", ["k", "a", "b"], [0, 0]],
  ["mget", ["{k}1", "{k}2"], [Buffer.from("v"), null]],
  ["exists", ["{k}1", "{k}2"], 1],
  ["zscore", ["k", "m"], null],
  ["sinter", ["{k}1", "{k}2"], [Buffer.from("m")]],
  ["eval_ro", ["return 1", "1", "k"], 1],
];

const hits: Call[] = [
  ["get", ["k"], Buffer.from("v")],
  ["get", ["k"], Buffer.from("none")],
  ["get", ["k"], "none"],
  ["type", ["k"], Buffer.from("string")],
  ["strlen", ["k"], 3],
  ["hgetall", ["k"], ["f", "v"]],
  ["hmget", ["k", "a", "b"], [null, Buffer.from("v")]],
  ["mget", ["{k}1", "{k}2"], [Buffer.from("v"), Buffer.from("w")]],
  ["exists", ["{k}1", "{k}2"], 2],
  ["lrange", ["k", "0", "-1"], [Buffer.from("v")]],
];

describe("mayBeMissingKey()", () => {
  it.each(misses)("is true for %s %j with the reply %j", (name, args, reply) => {
    expect(mayBeMissingKey(new Command(name, args), reply)).toBe(true);
  });

  it.each(hits)("is false for %s %j with the reply %j", (name, args, reply) => {
    expect(mayBeMissingKey(new Command(name, args), reply)).toBe(false);
  });
});

describe("cannotShowMissingKey()", () => {
  it.each([
    ["get", ["k"], false],
    ["mget", ["{k}1", "{k}2"], false],
    ["exists", ["{k}1", "{k}2"], false],
    ["sunion", ["{k}1", "{k}2"], true],
    ["pfcount", ["{k}1", "{k}2"], true],
    ["EVAL_RO", ["return 1", "1", "k"], true],
    ["fcall_ro", ["f", "1", "k"], true],
    ["keys", ["*"], true],
  ] as const)("for %s %j is %s", (name, args, is) => {
    expect(cannotShowMissingKey(new Command(name, [...args]))).toBe(is);
  });
});

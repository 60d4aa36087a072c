/** Replies of servers with something wrong in them, the same for the same numbers. */
import type { FakeReply } from "../servers/fake-server.js";

const nonsense: readonly FakeReply[] = [
  ...[-1, 0, 65_536, 4e9, 2 ** 53, -(2 ** 53), 1e15],
  ...["", "NaN", "-1", "1e9", "x".repeat(300), "\r\n", "\u0000", "9".repeat(40), "host:port", "[::1]"],
  ...[null, [], [[]], [null, null, null], new Error("ERR nonsense")],
];

/** `reply` with one part of it changed, as `random` has it, which gives numbers from 0 up to 1. */
export function mutated(reply: FakeReply, random: () => number): FakeReply {
  const pick = (count: number): number => Math.floor(random() * count);
  if (random() < 0.15) return nonsense[pick(nonsense.length)] ?? null;
  if (typeof reply === "string") return mutatedText(reply, pick);
  if (typeof reply === "number") return [reply + 1, -reply, reply * 1e9, reply + 0.5, 2 ** 53][pick(5)] ?? 0;
  if (!Array.isArray(reply)) return nonsense[pick(nonsense.length)] ?? null;
  const at = pick(reply.length);
  const [before, one, after] = [reply.slice(0, at), reply[at] ?? null, reply.slice(at + 1)];
  const kind = pick(8);
  if (kind === 0) return [...before, ...after];
  if (kind === 1) return [...before, ...new Array<FakeReply>(2_000).fill(one), ...after];
  if (kind === 2) return [...before, nested(one, 500), ...after];
  return [...before, mutated(one, random), ...after];
}

function mutatedText(text: string, pick: (count: number) => number): string {
  const lines = text.split("\r\n");
  const at = pick(lines.length);
  const line = lines[at] ?? "";
  const with_ = (...changed: string[]): string => lines.toSpliced(at, 1, ...changed).join("\r\n");
  const kind = pick(7);
  if (kind === 0) return with_();
  if (kind === 1) return with_(line, line);
  if (kind === 2) return with_(line.replace(/\d+/, "9".repeat(1 + pick(30))));
  if (kind === 3) return with_(line.replace(/\d+/, "-1"));
  if (kind === 4)
    return with_(`${line.slice(0, pick(line.length + 1))}\u0000${line.slice(pick(line.length + 1))}`);
  if (kind === 5) return with_(line.repeat(2_000).slice(0, 100_000));
  return text.slice(0, pick(text.length + 1));
}

function nested(one: FakeReply, depth: number): FakeReply {
  let whole = one;
  for (let level = 0; level < depth; level++) whole = [whole];
  return whole;
}

/** Tokens that a session accepts and returns while it is in use. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Keyring } from "../../src/http/keyring.js";
import { Session } from "../../src/session/session.js";
import { SessionSetup } from "../../src/session/session-setup.js";
import { HostWithoutServers } from "../support/stages/session-host.js";
import { at, sessionOf, start, stopClock, tokenOf, ttlMs, X, Y } from "../support/stages/still-sessions.js";

beforeEach(stopClock);

afterEach(() => {
  vi.useRealTimers();
});

describe("Session.add", () => {
  it("adds the token's requirement to the session's own, and sends both to the user", () => {
    const session = sessionOf(tokenOf({ positions: [at(X, 77)] }));
    session.add(tokenOf({ positions: [at(Y, 9)] }));
    expect(session.positions).toEqual([at(X, 77), at(Y, 9)]);
    expect(session.wrote).toBe(true);
  });

  it.each([
    ["a position", tokenOf({ issuedAt: start, positions: [at(X, 78)] }), { positions: [at(X, 78)] }],
    ["a pin", tokenOf({ issuedAt: start, pinnedAt: start }), { pinned: true }],
    ["a moment", tokenOf({ issuedAt: start, freshAsOf: start }), { requirement: { freshAsOf: start } }],
  ])("counts additional requirements as a write: %s", (_what, token, required) => {
    const session = sessionOf(tokenOf({ positions: [at(X, 77)] }));
    session.add(token);
    expect(session.wrote).toBe(true);
    expect({
      positions: session.positions,
      pinned: session.pinned,
      requirement: { freshAsOf: session.requirement.freshAsOf },
    }).toMatchObject(required);
  });

  it.each([
    ["no other token", tokenOf({ issuedAt: start, positions: [at(X, 77)] })],
    ["no token", "garbage"],
    ["an expired one", tokenOf({ issuedAt: start - ttlMs - 1, positions: [at(X, 99)] })],
  ])("leaves a session unchanged when given %s", (_what, token) => {
    const session = sessionOf(tokenOf({ positions: [at(X, 77)] }));
    session.add(token);
    expect([session.positions, session.wrote]).toEqual([[at(X, 77)], false]);
  });

  it("notifies the carrier of a token that was already sent", () => {
    const [session, late] = [sessionOf(), vi.fn()];
    session.onWrite({ writeBegins: late });
    session.add("garbage");
    expect(late).not.toHaveBeenCalled();
    session.add(tokenOf({ positions: [at(X, 77)] }));
    expect(late).toHaveBeenCalledOnce();
  });
});

describe("Session.sealed", () => {
  const seal = new Keyring("a secret of this test");
  const sealedSession = (...tokens: string[]) =>
    new Session(new HostWithoutServers(), new SessionSetup(tokens, "session", false, seal));

  it("returns a token that another session with the same secret can add", () => {
    const [session, other] = [sealedSession(tokenOf({ positions: [at(X, 77)] })), sealedSession()];
    other.addSealed(session.sealed());
    expect(other.positions).toEqual([at(X, 77)]);
    expect(sealedSession().sealed()).toBe("");
  });

  it("can be added when several tokens come in one text", () => {
    const sealed = [at(X, 77), at(Y, 9)].map((position) => seal.seal(tokenOf({ positions: [position] })));
    const session = sealedSession();
    session.addSealed(`${sealed[0]},rubbish, ${sealed[1]}`);
    expect(session.positions).toEqual([at(X, 77), at(Y, 9)]);
  });

  it.each([
    ["nothing", undefined],
    ["a missing header", null],
    ["a value that is not a string", Reflect.apply(JSON.parse, undefined, ['{"toString":1}'])],
    ["a token that is not encrypted", tokenOf({ positions: [at(X, 77)] })],
    [
      "a token encrypted with another secret",
      new Keyring("another secret of a test").seal(tokenOf({ positions: [at(X, 77)] })),
    ],
  ])("yields nothing from %s", (_what, text) => {
    const session = sealedSession();
    session.addSealed(text);
    expect([session.positions, session.wrote]).toEqual([[], false]);
  });

  it("pins to the primary when one text has more tokens than are opened", () => {
    const [pinned, other] = [sealedSession(), sealedSession()];
    pinned.addSealed("x,".repeat(180));
    other.addSealed("x,".repeat(179));
    expect([pinned.pinned, other.pinned]).toEqual([true, false]);
  });

  it("throws, like addSealed(), in a session without a secret", () => {
    const session = sessionOf(tokenOf({ positions: [at(X, 77)] }));
    const refusal = expect.objectContaining({ code: "TIDEMARK_INVALID_OPTION" });
    expect(() => session.sealed()).toThrow(refusal);
    expect(() => session.addSealed("text")).toThrow(refusal);
  });
});

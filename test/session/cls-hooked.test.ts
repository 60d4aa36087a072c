/** A namespace of cls-hooked as the store of sessions. */
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, expect, it } from "vitest";
import { InvalidOptionError } from "../../src/index.js";
import { clsHooked } from "../../src/session/cls-hooked.js";
import { endNamespaces, openNamespace } from "../support/stages/cls-namespace.js";
import { sessionOf } from "../support/stages/still-sessions.js";

endNamespaces();

describe("clsHooked", () => {
  it("leaves the app's own values in the namespace untouched", () => {
    const namespace = openNamespace("app");
    const context = clsHooked(namespace);
    const session = sessionOf();
    namespace.run(() => {
      namespace.set("user", "ann");
      context.run(session, () => {
        expect(namespace.get("user")).toBe("ann");
        namespace.set("locale", "en");
        namespace.run(() => expect([context.get(), namespace.get("locale")]).toEqual([session, "en"]));
      });
      expect([context.get(), namespace.get("user"), namespace.get("locale")]).toEqual([
        undefined,
        "ann",
        undefined,
      ]);
    });
  });

  it("keeps two Tidemarks on one namespace apart", () => {
    const namespace = openNamespace("app");
    const [carts, logins] = [clsHooked(namespace), clsHooked(namespace)];
    const [cart, login] = [sessionOf(), sessionOf()];
    carts.run(cart, () => {
      expect(logins.get()).toBeUndefined();
      logins.run(login, () => expect([carts.get(), logins.get()]).toEqual([cart, login]));
    });
  });

  it.each([
    [undefined, "undefined"],
    [null, "null"],
    ["app", "a string"],
    [new Map(), "a Map"],
    [new AsyncLocalStorage(), "an object"],
  ])("refuses %o", (given, shown) => {
    const call = () => Reflect.apply(clsHooked, undefined, [given]);
    expect(call).toThrow(InvalidOptionError);
    expect(call).toThrow(`got ${shown}.`);
  });
});

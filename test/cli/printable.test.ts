/** Text of servers is safe to print. */
import { expect, it } from "vitest";
import { printable } from "../../src/cli/terminal/printable.js";

it("replaces what a terminal would obey, and keeps every letter", () => {
  expect(printable("\u001b[2J a\u0007b\u009b0m\r\n\u202ec")).toBe("?[2J a?b?0m???c");
  expect(printable("10.0.0.1:6379 … größer")).toBe("10.0.0.1:6379 … größer");
});

/** What happened, the latest first, with advice. */
import type { Mark } from "../src/http/dashboard/feed-messages.js";
import { byId, make } from "./element.js";
import { iconOf, signOf, wordOf } from "./mark-kinds.js";
import { clockTime } from "./quantities.js";

export class EventsList {
  #shown: readonly Mark[] | undefined;

  show(marks: readonly Mark[]): void {
    // Only a new list makes new lines, so that a user can select text in the old ones.
    if (this.#shown === marks) return;
    this.#shown = marks;
    byId("events").replaceChildren(...marks.toReversed().map(line));
    byId("events").hidden = marks.length === 0;
    byId("no-events").hidden = marks.length > 0;
  }
}

function line(mark: Mark): HTMLLIElement {
  const { at, text, advice } = mark;
  const sign = signOf(mark);
  const said = make("p", { class: "said" }, text);
  if (advice !== undefined) said.append(make("span", { class: "advice" }, advice));
  const time = make("time", { datetime: new Date(at).toISOString() }, clockTime(at));
  return make("li", {}, time, iconOf(sign), make("span", { class: "kind" }, wordOf(sign)), said);
}

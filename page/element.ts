/** Finds and makes elements. Text goes in as text only, because the feed has names and errors of other servers. */

export type Child = Node | string;

const svgNamespace = "http://www.w3.org/2000/svg";

export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element #${id}`);
  return found;
}

/** The body of the table with this id. */
export function bodyOf(id: string): HTMLElement {
  const found = byId(id).querySelector<HTMLElement>("tbody");
  if (found === null) throw new Error(`the table #${id} has no body`);
  return found;
}

export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function draw<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string | number>> = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Name] {
  const element = document.createElementNS(svgNamespace, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** Rows that the style turns into cards would lose their roles in some browsers. */
export function nameTableRoles(): void {
  const roles = { table: "table", "thead, tbody": "rowgroup", tr: "row", th: "columnheader" };
  for (const [selector, role] of Object.entries(roles))
    for (const element of document.querySelectorAll(selector)) element.setAttribute("role", role);
}

/** A cell of a table that keeps its meaning where the style turns rows into cards. */
export function cell(name: string, ...children: readonly Child[]): HTMLTableCellElement {
  return make("td", { role: "cell", class: name }, ...children);
}

export function row(...cells: readonly Child[]): HTMLTableRowElement {
  return make("tr", { role: "row" }, ...cells);
}

/** Leaves an equal text alone, so that screen readers do not repeat it and a selection in it stays. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Puts `children` into `parent` in this order, and moves only those that are not in place. */
export function arrange(parent: Element, children: readonly Element[]): void {
  for (const [index, child] of children.entries())
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  while (parent.children.length > children.length) parent.lastElementChild?.remove();
}

/** The dashboard and the alert rules of the package. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./built-package.js";

export interface Target {
  readonly expr: string;
  readonly datasource: { readonly uid: string };
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
}

export interface Dashboard {
  readonly id?: number;
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr?: string }[] };
}

const read = (name: string): string => readFileSync(join(root, "grafana", name), "utf8");

export const alertRules = read("alerts.yml");

export const dashboard: Dashboard = JSON.parse(read("dashboard.json"));

/** Every query of the dashboard, and where it is shown. */
export const dashboardQueries: readonly { readonly title: string; readonly expr: string }[] = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr }))),
  ...dashboard.annotations.list.flatMap(({ name, expr }) =>
    expr === undefined ? [] : [{ title: name, expr }],
  ),
];

/** The text of each alert in the rules, by its name. */
export const alerts: ReadonlyMap<string, string> = new Map(
  alertRules
    .split(/^ {6}- (?=alert:|record:)/m)
    .filter((text) => text.startsWith("alert:"))
    .map((text) => [/^alert: (\w+)/.exec(text)?.[1] ?? "", text]),
);

/** One visit to a page in a real browser: what it shows, what it loads, and what it complains about. */
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Browser, KeyInput, Page } from "puppeteer-core";
import { waitUntil } from "../wait-until.js";

const screens = fileURLToPath(new URL("../../../.cache/screens", import.meta.url));

export interface Visitor {
  readonly width?: number;
  readonly scheme?: "light" | "dark";
}

/** Something that the page shows, as an expression that the browser evaluates. */
type Expression = string;

export class PageVisit implements AsyncDisposable {
  readonly #page: Page;
  /** Errors, and what the browser has written to its console. */
  readonly complaints: string[] = [];
  /** The addresses of everything that the page has asked for. */
  readonly requests: string[] = [];

  static async open(browser: Browser, url: string, visitor: Visitor = {}): Promise<PageVisit> {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    const visit = new PageVisit(page);
    await page.setViewport({ width: visitor.width ?? 1280, height: 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: visitor.scheme ?? "light" }]);
    await page.goto(url, { waitUntil: "load" });
    return visit;
  }

  private constructor(page: Page) {
    this.#page = page;
    page.on("console", (message) => this.complaints.push(message.text()));
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("dialog", (dialog) => {
      this.complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => this.requests.push(request.url()));
  }

  /** The text of the first element, as a user sees it. */
  async text(selector: string): Promise<string> {
    return String(
      await this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`),
    );
  }

  /** The texts of all such elements. */
  async texts(selector: string): Promise<readonly string[]> {
    const found = await this.evaluate(
      `[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.innerText ?? one.textContent)`,
    );
    return Array.isArray(found) ? found.map(String) : [];
  }

  async count(selector: string): Promise<number> {
    return Number(await this.evaluate(`document.querySelectorAll(${JSON.stringify(selector)}).length`));
  }

  evaluate(expression: Expression): Promise<unknown> {
    return this.#page.evaluate(expression);
  }

  /** Resolves when the text of the first such element matches. */
  async shows(selector: string, text: RegExp | string): Promise<void> {
    let seen = "";
    const matches = async (): Promise<boolean> => {
      seen = await this.text(selector);
      return typeof text === "string" ? seen.includes(text) : text.test(seen);
    };
    const what = `${selector} shows ${text}`;
    await waitUntil(matches, { what, timeoutMs: 30_000 }).catch((cause: unknown) => {
      throw new Error(`${what}, but it shows ${JSON.stringify(seen)}`, { cause });
    });
  }

  async press(...keys: readonly KeyInput[]): Promise<void> {
    for (const key of keys) await this.#page.keyboard.press(key);
  }

  /** Presses Tab until the element has the focus. Rejects if no element is left. */
  async tabTo(selector: string): Promise<void> {
    for (let tabs = 0; tabs < 100; tabs += 1) {
      await this.press("Tab");
      if (await this.evaluate(`document.activeElement?.matches(${JSON.stringify(selector)})`)) return;
    }
    throw new Error(`Tab does not reach ${selector}`);
  }

  /** Moves the pointer to the middle of an element's height, and to a share of its width. */
  async pointAt(selector: string, share: number): Promise<void> {
    const element = await this.#page.$(selector);
    // The pointer cannot leave the window.
    await element?.scrollIntoView();
    const box = await element?.boundingBox();
    if (!box) throw new Error(`the page does not show ${selector}`);
    await this.#page.mouse.move(box.x + box.width * share, box.y + box.height / 2);
  }

  /** Keeps a picture of the whole page in `.cache/screens`. */
  async keep(name: string): Promise<void> {
    await mkdir(screens, { recursive: true });
    await this.#page.screenshot({ path: `${screens}/${name}.png`, fullPage: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#page.browserContext().close();
  }
}

/** Which commands wait for others of their turn, and which leave at once. */
import { expect, it } from "vitest";
import { Company } from "../src/company.js";

function turns(company: Company, count: number, given: number): void {
  for (let turn = 0; turn < count; turn++) {
    company.gathers();
    for (let one = 0; one < given; one++) company.joins();
    company.leaves();
  }
}

it("is expected at first, and no more when commands have come alone for a while", () => {
  const company = new Company();
  expect(company.isExpected).toBe(true);
  turns(company, 7, 1);
  expect(company.isExpected).toBe(true);
  turns(company, 1, 1);
  expect(company.isExpected).toBe(false);
});

it("is expected again after a turn with two", () => {
  const company = new Company();
  turns(company, 20, 1);
  turns(company, 1, 2);
  expect(company.isExpected).toBe(true);
  turns(company, 8, 1);
  expect(company.isExpected).toBe(false);
});

it("does not count what is given while a turn leaves", () => {
  const company = new Company();
  for (let turn = 0; turn < 8; turn++) {
    turns(company, 1, 1);
    company.joins();
  }
  expect(company.isExpected).toBe(false);
});

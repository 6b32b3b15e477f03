// What the cases of all clients share. A file of cases is started as: node FILE URL CASE...
// It prints "ok CASE" or "failed CASE: why", one line each.
import assert from "node:assert/strict";

export const [url, ...wanted] = process.argv.slice(2);
export const model = "taleteller";
export const weather_schema = {
  type: "object", properties: { city: { type: "string" } }, required: ["city"],
};

export async function error_of(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("no error");
}

export async function run_cases(cases) {
  for (const name of wanted) {
    try {
      await cases[name]();
      console.log(`ok ${name}`);
    } catch (error) {
      console.log(`failed ${name}: ${String(error.stack ?? error).replaceAll("\n", " | ")}`);
      process.exitCode = 1;
    }
  }
}

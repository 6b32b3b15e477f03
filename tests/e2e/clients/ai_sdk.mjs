// Cases of the npm packages "ai", "@ai-sdk/openai-compatible" and "@ai-sdk/anthropic". What the
// server answers is in tests/support/scripted_service.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { error_of, model, run_cases, url } from "./runner.mjs";

const providers = {
  openai: createOpenAICompatible({ name: "potluck", baseURL: url, includeUsage: true })(model),
  anthropic: createAnthropic({ baseURL: url, apiKey: "none" })(model),
};
const weather = (seen) => tool({
  description: "says it",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => { seen.push(city); return "sun in " + city; },
});

async function text(provider) {
  const answer = await generateText({ model: provider, prompt: "höre €", maxRetries: 0 });
  assert.equal(answer.text, "You said: höre €");
  assert.equal(answer.finishReason, "stop");
  assert.equal(answer.usage.outputTokens, 4);
}

async function thoughts(provider) {
  const answer = streamText({ model: provider, prompt: "think", maxRetries: 0 });
  assert.equal(await answer.text, "You said: think");
  assert.equal(await answer.reasoningText, "let me see");
}

// Both calls, their results, and the answer to these.
async function tools(provider) {
  const seen = [];
  const answer = streamText({
    model: provider, prompt: "weather in both cities", maxRetries: 0,
    tools: { get_weather: weather(seen) }, stopWhen: stepCountIs(3),
  });
  assert.match(await answer.text, /sun in Rome/);
  assert.deepEqual(seen, ["Oslo", "Rome"]);
  assert.equal((await answer.steps).length, 2);
}

async function errors(provider) {
  const error = await error_of(
    generateText({ model: provider, prompt: "fail now", maxRetries: 0 }));
  assert.equal(error.statusCode, 500);
  assert.match(error.message, /it failed/);
}

const cases = {};
for (const [name, provider] of Object.entries(providers)) {
  for (const check of [text, thoughts, tools, errors]) {
    cases[`${name}_${check.name}`] = () => check(provider);
  }
}

await run_cases(cases);

// Cases of the Responses API with the npm client "openai". What the server answers is in
// tests/support/scripted_service.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { error_of, model, run_cases, url, weather_schema } from "./runner.mjs";

const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0, timeout: 60_000 });
const ask = (input, more = {}) => ({ model, input, ...more });
const tools = [
  { type: "function", name: "get_weather", parameters: weather_schema, strict: false },
  { type: "web_search" },  // not known here, and skipped
];

const cases = {
  async response() {
    const answer = await client.responses.create(ask("höre €", { instructions: "be brief" }));
    assert.equal(answer.output_text, "You said: höre €");
    assert.equal(answer.status, "completed");
    assert.equal(answer.instructions, "be brief");
    const { usage } = answer;
    assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
    assert.ok(usage.input_tokens_details.cached_tokens > 0);
  },

  async stream() {
    const numbers = [];
    let text = "";
    let last = null;
    for await (const event of await client.responses.create(ask("hi", { stream: true }))) {
      numbers.push(event.sequence_number);
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event;
    }
    assert.deepEqual(numbers, numbers.map((_, index) => index));
    assert.equal(text, "You said: hi");
    assert.equal(last.type, "response.completed");
  },

  async strict_helper() {
    const runner = client.responses.stream(ask("think of €"));
    const answer = await runner.finalResponse();
    assert.deepEqual(answer.output.map((item) => item.type), ["reasoning", "message"]);
    assert.equal(answer.output[0].content[0].text, "let me see");
    assert.equal(answer.output_text, "You said: think of €");
  },

  async length() {
    const cut = await client.responses.create(ask("one two", { max_output_tokens: 2 }));
    assert.equal(cut.status, "incomplete");
    assert.equal(cut.incomplete_details.reason, "max_output_tokens");
  },

  async tools() {
    const input = [{ role: "user", content: "weather in both cities" }];
    const answer = await client.responses.create(ask(input, { tools }));
    const calls = answer.output.filter((item) => item.type === "function_call");
    assert.deepEqual(calls.map((call) => JSON.parse(call.arguments).city), ["Oslo", "Rome"]);
    const results = calls.map(
      (call) => ({ type: "function_call_output", call_id: call.call_id, output: "rain" }));
    const after = await client.responses.create(
      ask([...input, ...answer.output, ...results], { tools }));
    assert.equal(after.output_text, "You said: rain");
    const shorter = await client.responses.create(
      ask(results, { tools, previous_response_id: answer.id }));
    assert.equal(shorter.output_text, "You said: rain");
  },

  async tools_streamed() {
    const runner = client.responses.stream(ask("weather", { tools }));
    let text = "";
    runner.on("response.function_call_arguments.delta", (event) => { text += event.delta; });
    const answer = await runner.finalResponse();
    assert.equal(answer.output[0].type, "function_call");
    assert.equal(JSON.parse(answer.output[0].arguments).city, "Oslo");
    assert.equal(text, answer.output[0].arguments);
  },

  async kept() {
    const first = await client.responses.create(ask("one"));
    const again = await client.responses.retrieve(first.id);
    assert.equal(again.output_text, "You said: one");
    const next = await client.responses.create(ask("two", { previous_response_id: first.id }));
    assert.equal(next.previous_response_id, first.id);
    await client.responses.delete(first.id);
    assert.equal((await error_of(client.responses.retrieve(first.id))).status, 404);
    const gone = await error_of(
      client.responses.create(ask("three", { previous_response_id: first.id })));
    assert.equal(gone.code, "previous_response_not_found");
  },

  async errors() {
    const bad = await error_of(client.responses.create(ask("hi", { temperature: 9 })));
    assert.equal(bad.param, "temperature");
    const image = [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }];
    assert.match((await error_of(client.responses.create(ask(image)))).message, /input_image/);
    const failed = await error_of(client.responses.create(ask("fail now", { stream: true })));
    assert.ok(failed instanceof OpenAI.InternalServerError);
  },

  async error_in_stream() {
    const types = [];
    const error = await error_of((async () => {
      for await (const event of await client.responses.create(ask("fail later", { stream: true }))) {
        types.push(event.type);
      }
    })());
    assert.equal(types.at(-1), "response.failed");
    assert.ok(error instanceof OpenAI.APIError);
    assert.match(error.message, /it failed/);
  },

  async abort() {
    const stream = await client.responses.create(ask("forever", { stream: true }));
    let events = 0;
    for await (const event of stream) if (++events === 8 && event) break;
    assert.equal(events, 8);
  },
};

await run_cases(cases);

// Cases of the npm client "@anthropic-ai/sdk". What the server answers is in
// tests/support/scripted_service.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { error_of, model, run_cases, url, weather_schema } from "./runner.mjs";

const client = new Anthropic({
  baseURL: url.replace(/\/v1$/, ""), apiKey: "none", maxRetries: 0, timeout: 60_000,
});
const ask = (content, more = {}) =>
  ({ model, max_tokens: 100, messages: [{ role: "user", content }], ...more });
const tools = [{ name: "get_weather", description: "says it", input_schema: weather_schema }];
const text_of = (message) =>
  message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

const cases = {
  async message() {
    const answer = await client.messages.create(ask("höre €", { system: "be brief" }));
    assert.equal(answer.role, "assistant");
    assert.equal(text_of(answer), "You said: höre €");
    assert.equal(answer.stop_reason, "end_turn");
    assert.match(answer._request_id, /^req-/);
    assert.ok(answer.usage.cache_read_input_tokens > 0);
    assert.equal(answer.usage.output_tokens, 4);
  },

  async stream() {
    const types = [];
    for await (const event of await client.messages.create(ask("hi", { stream: true }))) {
      types.push(event.type);
    }
    assert.deepEqual([types[0], types.at(-2), types.at(-1)],
                     ["message_start", "message_delta", "message_stop"]);
    assert.equal(types.filter((type) => type === "content_block_delta").length, 3);
  },

  async strict_helper() {
    const runner = client.messages.stream(ask("think of €"));
    const pieces = [];
    runner.on("text", (piece) => pieces.push(piece));
    const answer = await runner.finalMessage();
    assert.deepEqual(answer.content.map((block) => block.type), ["thinking", "text"]);
    assert.equal(answer.content[0].thinking, "let me see");
    assert.equal(pieces.join(""), "You said: think of €");
    assert.equal(answer.usage.output_tokens, 8);
    assert.ok(answer.usage.cache_read_input_tokens > 0);
  },

  async stop_and_length() {
    const stopped = await client.messages.create(ask("one STOP two", { stop_sequences: ["STOP"] }));
    assert.equal(text_of(stopped), "You said: one ");
    assert.equal(stopped.stop_reason, "stop_sequence");
    const cut = await client.messages.create(ask("one two", { max_tokens: 2 }));
    assert.equal(cut.stop_reason, "max_tokens");
  },

  async tools() {
    const asked = ask([{ type: "text", text: "weather in both cities",
                         cache_control: { type: "ephemeral" } }], { tools });
    const answer = await client.messages.create(asked);
    assert.equal(answer.stop_reason, "tool_use");
    assert.deepEqual(answer.content.map((block) => block.input.city), ["Oslo", "Rome"]);
    const results = answer.content.map(
      (block) => ({ type: "tool_result", tool_use_id: block.id, content: "rain" }));
    const after = await client.messages.create(ask("", {
      tools,
      messages: [...asked.messages, { role: "assistant", content: answer.content },
                 { role: "user", content: results }],
    }));
    assert.equal(text_of(after), "You said: rain");
  },

  async tools_streamed() {
    const answer = await client.messages.stream(ask("weather in both cities", { tools }))
      .finalMessage();
    assert.deepEqual(answer.content.map((block) => [block.type, block.name, block.input.city]),
                     [["tool_use", "get_weather", "Oslo"], ["tool_use", "get_weather", "Rome"]]);
    assert.notEqual(answer.content[0].id, answer.content[1].id);
  },

  async thoughts_go_back() {
    const first = await client.messages.create(ask("think"));
    const after = await client.messages.create(ask("", {
      messages: [{ role: "user", content: "think" }, { role: "assistant", content: first.content },
                 { role: "user", content: "more" }],
    }));
    assert.equal(text_of(after), "You said: more");
  },

  async count_tokens() {
    const counted = await client.messages.countTokens(
      { model, messages: [{ role: "user", content: "four" }] });
    assert.equal(counted.input_tokens, 4);
  },

  async models() {
    const ids = [];
    for await (const entry of client.models.list()) ids.push([entry.type, entry.id]);
    assert.deepEqual(ids, [["model", model]]);
    assert.equal((await client.models.retrieve(model)).display_name, model);
  },

  async retry() {
    const begun = Date.now();
    const answer = await client.messages.create(ask("overload"), { maxRetries: 1 });
    assert.equal(text_of(answer), "You said: overload");
    assert.ok(Date.now() - begun >= 1000, "did not wait as Retry-After says");
  },

  async errors() {
    const bad = await error_of(client.messages.create(ask("hi", { temperature: 9 })));
    assert.ok(bad instanceof Anthropic.BadRequestError);
    assert.equal(bad.error.error.type, "invalid_request_error");
    const long = await error_of(client.messages.create(ask("too long")));
    assert.match(long.message, /prompt is too long: 5000 tokens > 4096 maximum/);
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "" } };
    assert.match((await error_of(client.messages.create(ask([image])))).message, /'image'/);
    const failed = await error_of(client.messages.create(ask("fail now", { stream: true })));
    assert.ok(failed instanceof Anthropic.InternalServerError);
    const busy = await error_of(client.messages.create(ask("overload")));
    assert.ok(busy instanceof Anthropic.RateLimitError);
    await client.messages.create(ask("overload"));  // the other time
  },

  async error_in_stream() {
    const error = await error_of(client.messages.stream(ask("fail later")).finalMessage());
    assert.ok(error instanceof Anthropic.APIError);
    assert.match(error.message, /it failed/);
  },

  async abort() {
    const stream = await client.messages.create(ask("forever", { stream: true }));
    let events = 0;
    for await (const event of stream) if (++events === 6 && event) break;
    assert.equal(events, 6);
  },

  // Only with a server that asks for keys.
  async keys() {
    assert.ok((await error_of(client.messages.create(ask("hi"))))
      instanceof Anthropic.AuthenticationError);
    const allowed = client.withOptions({ apiKey: "secret" });
    assert.equal(text_of(await allowed.messages.create(ask("hi"))), "You said: hi");
  },
};

await run_cases(cases);

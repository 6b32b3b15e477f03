// Cases of the npm client "openai". What the server answers is in tests/support/scripted_service.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { error_of, model, run_cases, url, weather_schema } from "./runner.mjs";

const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0, timeout: 60_000 });
const ask = (content, more = {}) => ({ model, messages: [{ role: "user", content }], ...more });
const tools = [{
  type: "function",
  function: { name: "get_weather", parameters: weather_schema },
}];

async function text_of(stream) {
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  return text;
}

const cases = {
  async chat() {
    const answer = await client.chat.completions.create(ask("höre €"));
    assert.equal(answer.choices[0].message.content, "You said: höre €");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.model, model);
    assert.match(answer._request_id, /^req-/);
    const { usage } = answer;
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    assert.ok(usage.prompt_tokens_details.cached_tokens > 0);
  },

  async stream() {
    const stream = await client.chat.completions.create(ask("höre €", { stream: true }));
    assert.equal(await text_of(stream), "You said: höre €");
  },

  async stream_usage() {
    const stream = await client.chat.completions.create(
      ask("hi", { stream: true, stream_options: { include_usage: true } }));
    let usage = null;
    for await (const chunk of stream) usage = chunk.usage ?? usage;
    assert.equal(usage.completion_tokens, 3);
  },

  async strict_helper() {
    const runner = client.chat.completions.stream(
      ask("hi", { stream_options: { include_usage: true } }));
    const pieces = [];
    runner.on("content", (piece) => pieces.push(piece));
    const answer = await runner.finalChatCompletion();
    assert.equal(answer.choices[0].message.content, "You said: hi");
    assert.equal(pieces.join(""), "You said: hi");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.completion_tokens, 3);
  },

  async stop_and_length() {
    const stopped = await client.chat.completions.create(ask("one STOP two", { stop: ["STOP"] }));
    assert.equal(stopped.choices[0].message.content, "You said: one ");
    const cut = await client.chat.completions.create(ask("one two", { max_completion_tokens: 2 }));
    assert.equal(cut.choices[0].finish_reason, "length");
  },

  async several_choices() {
    const answer = await client.chat.completions.create(ask("hi", { n: 3, seed: 1 }));
    assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1, 2]);
    const streamed = await client.chat.completions.stream(ask("hi", { n: 2 })).finalChatCompletion();
    assert.equal(streamed.choices.length, 2);
    for (const choice of streamed.choices) assert.equal(choice.message.content, "You said: hi");
  },

  async tools() {
    const asked = ask("weather in both cities", { tools });
    const answer = await client.chat.completions.create(asked);
    const { message, finish_reason } = answer.choices[0];
    assert.equal(finish_reason, "tool_calls");
    assert.equal(message.content, null);
    assert.deepEqual(message.tool_calls.map((call) => JSON.parse(call.function.arguments).city),
                     ["Oslo", "Rome"]);
    const results = message.tool_calls.map(
      (call) => ({ role: "tool", tool_call_id: call.id, content: "rain" }));
    const after = await client.chat.completions.create(
      { model, tools, messages: [...asked.messages, message, ...results] });
    assert.equal(after.choices[0].message.content, "You said: rain");
  },

  async tools_streamed() {
    const answer = await client.chat.completions.stream(ask("weather in both cities", { tools }))
      .finalChatCompletion();
    const calls = answer.choices[0].message.tool_calls;
    assert.equal(calls.length, 2);
    assert.equal(calls[1].function.name, "get_weather");
    assert.notEqual(calls[0].id, calls[1].id);
    assert.equal(JSON.parse(calls[1].function.arguments).city, "Rome");
  },

  async run_tools() {
    const seen = [];
    const runner = client.chat.completions.runTools({
      ...ask("weather"),
      tools: [{
        type: "function",
        function: { ...tools[0].function, parse: JSON.parse,
                    function: ({ city }) => { seen.push(city); return "sun in " + city; } },
      }],
    });
    assert.equal(await runner.finalContent(), "You said: sun in Oslo");
    assert.deepEqual(seen, ["Oslo"]);
  },

  async reasoning() {
    const answer = await client.chat.completions.create(ask("think"));
    assert.equal(answer.choices[0].message.reasoning_content, "let me see");
    assert.equal(answer.choices[0].message.content, "You said: think");
    let reasoning = "";
    for await (const chunk of await client.chat.completions.create(ask("think", { stream: true }))) {
      reasoning += chunk.choices[0].delta.reasoning_content ?? "";
    }
    assert.equal(reasoning, "let me see");
  },

  async logprobs() {
    const answer = await client.chat.completions.create(
      ask("hi €", { logprobs: true, top_logprobs: 2 }));
    const items = answer.choices[0].logprobs.content;
    assert.equal(items.map((item) => item.token).join(""), answer.choices[0].message.content);
    assert.equal(items[0].top_logprobs.length, 2);
    assert.equal(Buffer.from(items[3].bytes).toString(), " €");
    const streamed = await client.chat.completions
      .stream(ask("hi", { logprobs: true })).finalChatCompletion();
    assert.equal(streamed.choices[0].logprobs.content.length, 3);
  },

  async abort() {
    const stream = await client.chat.completions.create(ask("forever", { stream: true }));
    let chunks = 0;
    for await (const chunk of stream) if (++chunks === 5 && chunk) break;
    assert.equal(chunks, 5);
  },

  async abort_without_stream() {
    const controller = new AbortController();
    const answer = client.chat.completions.create(ask("forever"), { signal: controller.signal });
    setTimeout(() => controller.abort(), 300);
    assert.ok((await error_of(answer)) instanceof OpenAI.APIUserAbortError);
  },

  async retry() {
    const begun = Date.now();
    const answer = await client.chat.completions.create(ask("overload"), { maxRetries: 1 });
    assert.equal(answer.choices[0].message.content, "You said: overload");
    assert.ok(Date.now() - begun >= 1000, "did not wait as Retry-After says");
  },

  async no_retry() {
    const error = await error_of(
      client.embeddings.create({ model, input: "x" }, { maxRetries: 5 }));
    assert.equal(error.status, 501);
    assert.equal(error.headers.get("x-should-retry"), "false");
  },

  async errors() {
    const bad = await error_of(client.chat.completions.create(ask("hi", { temperature: 9 })));
    assert.ok(bad instanceof OpenAI.BadRequestError);
    assert.equal(bad.param, "temperature");
    assert.equal(bad.type, "invalid_request_error");
    const long = await error_of(client.chat.completions.create(ask("too long")));
    assert.equal(long.code, "context_length_exceeded");
    assert.equal(long.error.n_ctx, 4096);
    const failed = await error_of(client.chat.completions.create(ask("fail now", { stream: true })));
    assert.ok(failed instanceof OpenAI.InternalServerError);
    const busy = await error_of(client.chat.completions.create(ask("overload")));
    assert.ok(busy instanceof OpenAI.RateLimitError);
    await client.chat.completions.create(ask("overload"));  // the other time
  },

  async error_in_stream() {
    const stream = await client.chat.completions.create(ask("fail later", { stream: true }));
    const error = await error_of(text_of(stream));
    assert.ok(error instanceof OpenAI.APIError);
    assert.match(error.message, /it failed/);
    const strict = client.chat.completions.stream(ask("fail later")).finalChatCompletion();
    assert.ok((await error_of(strict)) instanceof OpenAI.APIError);
  },

  async models() {
    const ids = [];
    for await (const entry of client.models.list()) ids.push(entry.id);
    assert.deepEqual(ids, [model]);
    assert.equal((await client.models.retrieve(model)).id, model);
    const none = await error_of(client.models.retrieve("user/other"));
    assert.ok(none instanceof OpenAI.NotFoundError);
    assert.match(none.message, /user\/other/);
  },

  async completions() {
    const answer = await client.completions.create({ model, prompt: "Once", logprobs: 1 });
    assert.equal(answer.choices[0].text, "You said: Once");
    assert.deepEqual(answer.choices[0].logprobs.tokens, ["You", " said:", " Once"]);
    assert.deepEqual(answer.choices[0].logprobs.text_offset, [0, 3, 9]);
    const several = await client.completions.create({ model, prompt: ["a", "b"] });
    assert.equal(several.choices[1].text, "You said: b");
    let text = "";
    for await (const chunk of await client.completions.create({ model, prompt: "x", stream: true })) {
      text += chunk.choices[0].text;
    }
    assert.equal(text, "You said: x");
  },

  // Only with a server that asks for keys.
  async keys() {
    const error = await error_of(client.chat.completions.create(ask("hi")));
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, "invalid_api_key");
    const allowed = client.withOptions({ apiKey: "secret" });
    assert.equal((await allowed.chat.completions.create(ask("hi"))).choices.length, 1);
    assert.equal((await client.models.list()).data.length, 1);
  },
};

await run_cases(cases);

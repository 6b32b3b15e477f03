// Cases of the npm client "ollama". What the server answers is in tests/support/scripted_service.
import assert from "node:assert/strict";
import { Ollama } from "ollama";
import { error_of, model, run_cases, url, weather_schema } from "./runner.mjs";

const client = new Ollama({ host: url.replace(/\/v1$/, "") });
const ask = (content, more = {}) => ({ model, messages: [{ role: "user", content }], ...more });
const tools = [{ type: "function", function: { name: "get_weather", parameters: weather_schema } }];

const cases = {
  async models() {
    const { models } = await client.list();
    assert.deepEqual(models.map((entry) => entry.name), [model]);
    assert.equal(models[0].digest.length, 64);
    const shown = await client.show({ model });
    assert.deepEqual(shown.capabilities, ["completion", "tools", "thinking"]);
    assert.equal(shown.model_info["qwen3moe.context_length"], 4096);
    assert.equal((await client.ps()).models.length, 1);
    assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
  },

  async chat() {
    const answer = await client.chat(ask("höre €"));
    assert.equal(answer.message.content, "You said: höre €");
    assert.equal(answer.done_reason, "stop");
    assert.equal(answer.eval_count, 4);
    assert.equal(answer.prompt_eval_duration, 500_000_000);
    assert.ok(!Number.isNaN(answer.created_at.valueOf()));
  },

  async stream() {
    let text = "";
    let last = null;
    for await (const part of await client.chat(ask("höre €", { stream: true }))) {
      text += part.message.content;
      last = part;
    }
    assert.equal(text, "You said: höre €");
    assert.equal(last.done, true);
    assert.equal(last.eval_count, 4);
  },

  async generate() {
    const answer = await client.generate({ model, prompt: "hi", options: { num_predict: 2 } });
    assert.equal(answer.response, "You said:");
    assert.equal(answer.done_reason, "length");
    let text = "";
    for await (const part of await client.generate({ model, prompt: "hi", raw: true, stream: true })) {
      text += part.response;
    }
    assert.equal(text, "You said: hi");
    assert.equal((await client.generate({ model, prompt: "" })).done_reason, "load");
  },

  async options() {
    const answer = await client.chat(
      ask("one STOP two", { options: { stop: ["STOP"], temperature: 0, seed: 1, top_k: 4 } }));
    assert.equal(answer.message.content, "You said: one ");
  },

  async think() {
    const answer = await client.chat(ask("think", { think: true }));
    assert.equal(answer.message.thinking, "let me see");
    let thoughts = "";
    for await (const part of await client.chat(ask("think", { think: "low", stream: true }))) {
      thoughts += part.message.thinking ?? "";
    }
    assert.equal(thoughts, "let me see");
  },

  async tools() {
    const asked = ask("weather in both cities", { tools });
    const { message } = await client.chat(asked);
    assert.deepEqual(message.tool_calls.map((call) => call.function.arguments.city),
                     ["Oslo", "Rome"]);
    const after = await client.chat({
      model, tools,
      messages: [...asked.messages, message,
                 { role: "tool", content: "rain", tool_name: "get_weather" }],
    });
    assert.equal(after.message.content, "You said: rain");
  },

  async errors() {
    const bad = await error_of(client.chat(ask("hi", { options: { temperature: 9 } })));
    assert.equal(bad.status_code, 400);
    assert.match(bad.message, /temperature/);
    assert.match((await error_of(client.chat(ask("fail now")))).message, /it failed/);
    assert.match((await error_of(client.pull({ model }))).message, /nothing/);
    const stream = await client.chat(ask("fail later", { stream: true }));
    const late = await error_of((async () => { for await (const part of stream) assert.ok(part); })());
    assert.match(late.message, /it failed/);
  },

  async abort() {
    const stream = await client.chat(ask("forever", { stream: true }));
    let parts = 0;
    const error = await error_of((async () => {
      for await (const part of stream) if (++parts === 5 && part) stream.abort();
    })());
    assert.equal(error.name, "AbortError");
  },
};

await run_cases(cases);

// A conversation with the model over /v1/chat/completions.
import {getJson, post, readEvents} from "./api.js";
import {Conversations} from "./conversations.js";
import {byId, copyButton, duration, h, number, rate, replace, setText} from "./dom.js";
import {markdown} from "./markdown.js";

const SETTINGS = "potluck.chat";
const DRAW_MS = 80;

const conversations = new Conversations();
let current = conversations.begin();
let running = null;  // {controller, message, view, began, ..}

// --- settings -----------------------------------------------------------------------------------------

const settings = {system: byId("system"), temperature: byId("temperature"), most: byId("most")};

function loadSettings() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(SETTINGS) ?? "{}") ?? {};
  } catch {
    // as if there were none
  }
  for (const [name, field] of Object.entries(settings)) {
    field.value = typeof kept[name] === "string" ? kept[name] : "";
    field.addEventListener("change", () => {
      const now = Object.fromEntries(Object.entries(settings).map(([key, input]) => [key, input.value]));
      try {
        localStorage.setItem(SETTINGS, JSON.stringify(now));
      } catch {
        // no room: they hold for this page
      }
    });
  }
}

function requestBody() {
  const messages = current.messages.filter((message) => message.role === "user" || message.content || message.reasoning)
    .map(({role, content}) => ({role, content}));
  const system = settings.system.value.trim();
  if (system) messages.unshift({role: "system", content: system});
  const body = {messages, stream: true, stream_options: {include_usage: true}, return_progress: true};
  const temperature = Number.parseFloat(settings.temperature.value);
  if (Number.isFinite(temperature)) body.temperature = temperature;
  const most = Number.parseInt(settings.most.value, 10);
  if (most > 0) body.max_tokens = most;
  return body;
}

// --- what is shown ------------------------------------------------------------------------------------

const log = byId("log");
const nearEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
const scrollToEnd = () => { log.scrollTop = log.scrollHeight; };

function showConversations() {
  const items = conversations.list.filter((c) => c.messages.length > 0).map((c) => {
    const open = h("button", {type: "button", class: "open", "aria-current": c === current ? "true" : null}, c.title || "Untitled");
    open.addEventListener("click", () => openConversation(c));
    const remove = h("button", {type: "button", class: "remove", "aria-label": `Delete the conversation ${c.title}`}, "×");
    remove.addEventListener("click", () => {
      conversations.remove(c.id);
      if (c === current) openConversation(conversations.begin());
      else showConversations();
    });
    return h("li", {class: c === current ? "current" : null}, open, remove);
  });
  replace(byId("conversations"), items.length > 0 ? items : h("li", {class: "muted small"}, "None yet"));
}

function openConversation(conversation) {
  stop();
  current = conversation;
  showAll();
  byId("prompt").focus();
}

function showAll() {
  showConversations();
  log.replaceChildren();
  if (current.messages.length === 0) {
    log.append(h("div", {class: "start"}, h("h2", {}, "What is on your mind?"),
                 h("p", {}, "The answer is computed by the devices of your pool, and stays there.")));
    return;
  }
  current.messages.forEach((message, index) => log.append(messageView(message, index).item));
  scrollToEnd();
}

function messageView(message, index) {
  const view = {text: h("div", {class: "text"}), under: h("div", {class: "under"}), reasoning: null, working: h("p", {class: "working"}, h("span", {}))};
  view.item = h("article", {class: `message ${message.role}`, "aria-label": message.role === "user" ? "You" : "Answer"});
  if (message.role === "user") {
    view.text.textContent = message.content;
    view.item.append(view.text, view.under);
  } else {
    view.thoughts = h("div", {});
    view.summary = h("summary", {}, "Reasoning");
    view.reasoning = h("details", {class: "reasoning"}, view.summary, view.thoughts);
    view.reasoning.hidden = true;
    view.item.append(view.reasoning, view.text, view.under);
    drawAnswer(view, message);
  }
  drawUnder(view, message, index);
  return view;
}

function drawAnswer(view, message) {
  view.reasoning.hidden = !message.reasoning;
  if (message.reasoning && view.thoughts.textContent !== message.reasoning) view.thoughts.textContent = message.reasoning;
  replace(view.text, markdown(message.content));
}

function drawUnder(view, message, index) {
  const button = (text, act) => h("button", {type: "button", class: "quiet", onclick: act}, text);
  const last = index === current.messages.length - 1;
  if (message.role === "user") {
    replace(view.under, button("Edit", () => edit(view, message, index)), copyButton(() => message.content));
  } else {
    replace(view.under, message.fault && h("span", {class: "bad note", role: "alert"}, message.fault),
            copyButton(() => message.content), last && button("Again", () => again(index)),
            message.note && h("span", {class: "note"}, message.note));
  }
}

function edit(view, message, index) {
  stop();
  const field = h("textarea", {rows: "4", "aria-label": "Your message", value: message.content});
  const send = () => {
    if (!field.value.trim()) return;
    current.messages.length = index;
    ask(field.value.trim());
  };
  replace(view.item, h("div", {class: "edit"}, field, h("p", {class: "row"},
    h("button", {type: "button", class: "primary", onclick: send}, "Send"),
    h("button", {type: "button", class: "quiet", onclick: showAll}, "Cancel"))));
  field.focus();
}

function again(index) {
  stop();
  current.messages.length = index;
  showAll();
  answer();
}

// --- asking -------------------------------------------------------------------------------------------

function ask(text) {
  current.messages.push({role: "user", content: text});
  conversations.save(current);
  showAll();
  answer();
}

function showRunning(is) {
  byId("send").hidden = is;
  byId("stop").hidden = !is;
  log.setAttribute("aria-busy", String(is));
}

async function answer() {
  const message = {role: "assistant", content: "", reasoning: ""};
  const body = requestBody();
  current.messages.push(message);
  const view = messageView(message, current.messages.length - 1);
  replace(view.under);
  view.item.insertBefore(view.working, view.text);
  log.append(view.item);
  scrollToEnd();
  const run = {controller: new AbortController(), message, view, conversation: current, began: performance.now(), stage: "", done: 0, total: 0, tokens: 0};
  running = run;
  showRunning(true);
  setText(byId("said"), "The answer begins");
  const clock = setInterval(() => draw(run), DRAW_MS);
  try {
    const response = await post("/v1/chat/completions", body, run.controller.signal);
    run.elsewhere = response.headers.get("X-Potluck-Upstream");
    await readEvents(response, (event) => take(run, event));
    if (!run.finish) message.fault = "The answer was cut off.";
  } catch (error) {
    if (error.name === "AbortError") run.finish = "stopped";
    else message.fault = error.message;
  }
  clearInterval(clock);
  end(run);
}

function take(run, {data, comment}) {
  if (comment.startsWith("waiting")) run.stage = comment[0].toUpperCase() + comment.slice(1);
  if (!data || data === "[DONE]") return;
  const part = JSON.parse(data);
  if (part.error) throw new Error(part.error.message);
  if (part.prompt_progress) {
    run.stage = "";
    run.done = part.prompt_progress.processed;
    run.total = part.prompt_progress.total;
  }
  if (part.usage) run.usage = part.usage;
  if (part.timings) run.timings = part.timings;
  const choice = part.choices?.[0];
  if (!choice) return;
  const {content, reasoning_content: reasoning} = choice.delta ?? {};
  if (content || reasoning) {
    run.first ??= performance.now();
    run.message.content += content ?? "";
    run.message.reasoning += reasoning ?? "";
    if (reasoning) run.thought = performance.now();
    run.changed = true;
  }
  if (choice.finish_reason) run.finish = choice.finish_reason;
}

// What is under way, and how far it is.
function progressText(run) {
  const seconds = (performance.now() - run.began) / 1000;
  if (run.stage) return run.stage;
  if (run.total > run.done && !run.first) return `Reading your message: ${number(run.done)} of ${number(run.total)} tokens`;
  return seconds < 1 ? "Asking the pool" : `Asking the pool, ${duration(seconds)}`;
}

function draw(run) {
  const {view, message} = run;
  const stay = nearEnd();
  if (!run.first) {
    setText(view.working.firstChild, progressText(run));
  } else if (run.changed) {
    run.changed = false;
    drawAnswer(view, message);
    const thinking = message.reasoning && !message.content;
    if (message.reasoning) setText(view.summary, thinking ? `Reasoning for ${duration((performance.now() - run.first) / 1000)}` : "Reasoning");
    view.working.hidden = !thinking;
    if (thinking) setText(view.working.firstChild, "Reasoning");
  }
  if (stay && run.conversation === current) scrollToEnd();
}

function noteOf(run) {
  const parts = [];
  if (run.elsewhere) parts.push(`From ${run.elsewhere}, outside this pool`);
  const made = run.usage?.completion_tokens;
  if (made) parts.push(`${number(made)} tokens`);
  if (run.timings?.predicted_per_second) parts.push(`${rate(run.timings.predicted_per_second)} per second`);
  const cached = run.usage?.prompt_tokens_details?.cached_tokens;
  if (cached) parts.push(`${number(cached)} of ${number(run.usage.prompt_tokens)} prompt tokens reused`);
  if (run.finish === "length") parts.push("ended at the limit of tokens");
  if (run.finish === "stopped") parts.push("stopped");
  return parts.join(" · ");
}

function end(run) {
  const {view, message} = run;
  view.working.remove();
  drawAnswer(view, message);
  message.note = noteOf(run);
  if (running === run) {
    running = null;
    showRunning(false);
  }
  setText(byId("said"), message.fault ?? "The answer is complete");
  if (!message.content && !message.reasoning && !message.fault) message.note = message.note || "An empty answer";
  conversations.save(run.conversation);
  if (run.conversation !== current) return;
  const stay = nearEnd();
  drawUnder(view, message, run.conversation.messages.indexOf(message));
  if (stay) scrollToEnd();
  showConversations();
}

function stop() {
  running?.controller.abort();
}

// --- the page -----------------------------------------------------------------------------------------

const prompt = byId("prompt");
function fit() {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight}px`;
}

function send(event) {
  event?.preventDefault();
  const text = prompt.value.trim();
  if (!text || running) return;
  prompt.value = "";
  fit();
  ask(text);
}

async function showModel() {
  try {
    const {data} = await getJson("/v1/models");
    setText(byId("model"), data[0].id);
    document.title = `${data[0].id} · Potluck`;
  } catch {
    setText(byId("model"), "The coordinator does not answer");
  }
}

prompt.addEventListener("input", fit);
prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
byId("compose").addEventListener("submit", send);
byId("stop").addEventListener("click", () => {
  stop();
  prompt.focus();
});
byId("new-chat").addEventListener("click", () => openConversation(conversations.begin()));
if (matchMedia("(max-width: 50rem)").matches) byId("kept").open = false;
loadSettings();
showAll();
showModel();

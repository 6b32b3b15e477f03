// The pool as it is now: every report that the coordinator sends is shown as a whole.
import {followPool, getJson} from "./api.js";
import {drawChart} from "./charts.js";
import {Devices, openInvite, showWelcome} from "./devices.js";
import {byId, bytes, duration, h, number, percent, rate, replace, setText, short} from "./dom.js";
import {History} from "./history.js";
import {ExpertMap} from "./map.js";

const PARTS = [
  {name: "attention", color: "--attention", label: "coordinator"},
  {name: "wire", color: "--wire", label: "network"},
  {name: "disk", color: "--disk", label: "disks"},
  {name: "compute", color: "--compute", label: "experts"},
];

const history = new History();
const devices = new Devices();
const map = new ExpertMap();
let mapVersion = -1;
let state = null;

function showLink(heard, fault) {
  const link = byId("link");
  link.classList.toggle("bad", !heard);
  if (!heard) setText(link, fault);
  document.body.classList.toggle("stale", !heard);
}

function showService({service, pool}) {
  const elsewhere = (service.upstreams ?? []).map(({name}) => name).join(", ");
  setText(byId("elsewhere"), elsewhere ? `As configured, questions may go to another server: ${elsewhere}.`
          : "Nothing leaves your network.");
  const link = byId("link");
  const words = {loading: "Loading", ready: "Ready", stopping: "Stopping", failed: "Failed"};
  setText(link, words[service.state] ?? service.state);
  link.classList.toggle("bad", service.state === "failed");
  const loading = service.state === "loading";
  byId("loading").hidden = !loading;
  for (const id of ["figures", "speed"]) byId(id).hidden = pool === null;
  if (loading) {
    const {stage, done, total} = service.loading ?? {};
    setText(byId("loading-stage"), stage ? `${stage}${total > 0 ? `: ${percent(done / total)}` : ""}` : "Opening the model file");
    const progress = byId("loading-bar");
    if (total > 0) progress.value = done / total;
    else progress.removeAttribute("value");
  }
  const model = service.model;
  const about = [model.quantization, model.file_bytes > 0 && bytes(model.file_bytes),
                 model.context > 0 && `${number(model.context)} tokens of context`];
  setText(byId("title"), model.id);
  setText(byId("subtitle"), about.filter(Boolean).join(" · "));
}

function figure(label, value, note) {
  return h("div", {class: "figure"}, h("span", {class: "label"}, label), h("b", {}, value), h("span", {class: "note"}, note));
}

// Of the devices that tell what they take; no figure where none does.
function powerFigure({power, workers}) {
  if (!power) return [];
  const note = power.joules_per_token === null ? `of ${power.devices} of ${workers.length} devices`
    : `${power.joules_per_token.toPrecision(2)} J per token`;
  return [figure("Power", `${power.watts.toFixed(1)} W`, note)];
}

function showFigures({service, pool}) {
  const ready = pool.workers.filter((worker) => worker.state === "ready").length;
  const queries = service.prefix_queries;
  const placed = pool.units_assigned > 0 ? pool.units_ready / pool.units_assigned : 0;
  replace(byId("figures"),
    figure("Speed", rate(history.rate), "tokens per second"),
    figure("Devices", `${ready}`, pool.workers.length === ready ? "ready" : `of ${pool.workers.length} ready`),
    figure("Experts in place", pool.units_assigned > 0 ? percent(placed) : "–", `${short(pool.units_ready)} of ${short(pool.units_assigned)} units`),
    figure("Conversations", `${service.requests_running}`, service.requests_waiting > 0 ? `${service.requests_waiting} waiting` : `running, ${number(service.requests_done)} done`),
    figure("Prompt reused", queries > 0 ? percent(service.prefix_hits / queries) : "–", "was there already"),
    ...powerFigure(pool));
}

function drawCharts() {
  if (!state?.pool) return;
  drawChart(byId("rate-chart"), history.points, History.seconds, [{name: "rate", color: "--accent", line: true}],
            {label: (value) => value >= 10 ? Math.round(value) : value.toFixed(1)});
  drawChart(byId("split-chart"), history.points, History.seconds, PARTS, {most: 1, label: (value) => `${Math.round(100 * value)}%`});
  setText(byId("rate-now"), history.rate > 0 ? rate(history.rate) : "");
  const shares = history.shares();
  const rows = PARTS.map(({name, color, label}) => {
    const swatch = h("i", {class: "swatch", "aria-hidden": "true"});
    swatch.style.background = `var(${color})`;
    return h("div", {}, h("dt", {}, swatch, label), h("dd", {}, shares ? percent(shares[name]) : "–"));
  });
  replace(byId("split-legend"), rows);
}

function showPrediction(pool) {
  const plan = pool.prediction;
  byId("prediction").hidden = !plan;
  if (!plan) return;
  setText(byId("prediction"), `The plan expects ${rate(plan.decode_tokens_per_second)} for one conversation` +
          (plan.bottleneck ? `; what takes longest: ${plan.bottleneck}` : ""));
}

const KINDS = [
  [/is turned away|refused|turned away/, "bad", "Refused"],
  [/quarantine/, "bad", "Trust"],
  [/wrong|answered badly/, "bad", "Wrong"],
  [/joined|greeted again|is admitted|redeemed/, "good", "Joined"],
  [/asks to be admitted/, "busy", "Asks"],
  [/others are asked as well/, "busy", "Hedged"],
  [/its work goes to others|did not answer/, "busy", "Healed"],
  [/lost|is gone|vanished|silent|left|leave/, "bad", "Left"],
  [/lends/, "busy", "Health"],
];

function event({unix_seconds: at, level, message}, now) {
  const [, kind, label] = KINDS.find(([pattern]) => pattern.test(message)) ??
                          [null, level === "info" ? "idle" : "bad", level === "info" ? "Note" : "Warning"];
  return h("li", {}, h("span", {class: `state ${kind}`}, label), h("span", {class: "words"}, message),
           h("time", {datetime: new Date(1000 * at).toISOString(), title: new Date(1000 * at).toLocaleString()}, `${duration(now - at)} ago`));
}

let shownEvents = "";
function showEvents(pool) {
  const last = pool.events.at(-1)?.number ?? 0;
  // Ages change each minute; nothing else does.
  const key = `${last} ${Math.floor(pool.written_unix_seconds / 10)}`;
  if (key === shownEvents) return;
  shownEvents = key;
  const newest = pool.events.slice(-40).reverse();
  replace(byId("events"), newest.length > 0 ? newest.map((past) => event(past, pool.written_unix_seconds))
          : h("li", {class: "muted"}, "Nothing yet: devices that join, leave, fail or come back are told here."));
}

function showCounts({service, pool}) {
  const c = pool.counters;
  const lookups = c.cache_hits + c.cache_misses;
  const rows = [
    ["Tokens written", number(service.answer_tokens)],
    ["Tokens drafted", `${number(service.drafted_tokens ?? 0)}, ${number(service.accepted_tokens ?? 0)} right`],
    ["Prompt tokens", `${number(service.prompt_tokens)}, ${number(service.cached_tokens)} reused`],
    ["Experts applied by devices", short(c.remote_expert_calls)],
    ["By the coordinator", short(c.local_expert_calls)],
    ["In device memory", lookups > 0 ? `${percent(c.cache_hits / lookups)} of lookups` : "–"],
    ["Read from disks", bytes(c.disk_bytes)],
    ["Work over the network", bytes(pool.wire_bytes)],
    ["Experts sent to devices", bytes(pool.bytes_delivered)],
    ["Asked twice, for a late answer", number(c.hedges)],
    ["Given to others", number(c.retries)],
    ["Answers compared", number(c.answers_alike + c.own_checks)],
    ["Found wrong", number(c.wrong_answers)],
    ["Devices lost", number(pool.workers_lost)],
    ["Memory for conversations", `${bytes(service.kv_used_bytes + service.kv_kept_bytes)} of ${bytes(service.kv_budget_bytes)}`],
  ];
  for (const one of service.upstreams ?? []) {
    rows.push([`Sent outside, to ${one.name}`, `${number(one.requests)}, ${number(one.answer_tokens)} tokens came back`]);
  }
  replace(byId("counts"), rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

async function updateMap(pool) {
  if (pool.map_version === mapVersion) return;
  mapVersion = pool.map_version;
  try {
    map.show(await getJson("/api/pool/map"), pool.workers);
  } catch {
    mapVersion = -1;  // with the next report
  }
}

function show(next) {
  state = next;
  document.body.classList.remove("stale");
  showService(next);
  if (!next.pool) {
    // No reports come before there is a pool.
    setTimeout(() => getJson("/api/pool").then((later) => later.pool || state.pool ? null : show(later)).catch(() => {}), 1000);
    return;
  }
  history.add(next);
  const {workers, away} = devices.show(next.pool);
  if (workers + away === 0) showWelcome(next.pool.takes_strangers);
  else byId("empty").hidden = true;
  // A newcomer is to see first what to do next.
  byId("speed").hidden = workers === 0 && next.service.answer_tokens === 0;
  showFigures(next);
  drawCharts();
  showPrediction(next.pool);
  showEvents(next.pool);
  showCounts(next);
  updateMap(next.pool);
  document.body.dataset.reports = String(1 + Number(document.body.dataset.reports ?? 0));
}

byId("invite-button").addEventListener("click", () => openInvite(state?.pool?.takes_strangers ?? false));
const redraw = () => {
  drawCharts();
  map.draw();
};
new ResizeObserver(redraw).observe(byId("main"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
followPool(show, showLink);

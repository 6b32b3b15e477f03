// The devices as cards, those that ask to be admitted, and what their owner may do with them.
import {post} from "./api.js";
import {append, byId, bytes, copyButton, h, number, percent, replace, setText} from "./dom.js";
import {deviceColor} from "./palette.js";

const STATES = {
  ready: ["Ready", "good"],
  fetching: ["Fetching experts", "busy"],
  joining: ["Joining", "busy"],
  draining: ["Leaving", "busy"],
  "left out": ["Not needed", "idle"],
  silent: ["Silent", "bad"],
  quarantined: ["Quarantined", "bad"],
  away: ["Away", "idle"],
};

const bar = (part, label) => {
  const fill = h("i", {});
  fill.style.width = `${Math.round(100 * Math.max(0, Math.min(1, part)))}%`;
  return h("span", {class: "bar", role: "img", "aria-label": label}, fill);
};

function facts(worker) {
  const f = worker.facts;
  const rows = [["Memory", bytes(worker.ram_bytes)], ["Disk", bytes(worker.disk_bytes)]];
  if (f.observed_bytes_per_second) rows.push(["Speed", `${bytes(f.observed_bytes_per_second)}/s`]);
  else if (f.products?.length) rows.push(["Speed", `${bytes(f.products[0].one_row_bytes_per_second ?? 0)}/s`]);
  if (f.disk_bytes_per_second) rows.push(["Reads", `${bytes(f.disk_bytes_per_second)}/s`]);
  if (f.round_trip_us) rows.push(["Round trip", `${(f.round_trip_us / 1000).toFixed(2)} ms`]);
  const health = worker.health;
  if (health.battery_percent !== null) {
    rows.push(["Battery", `${health.battery_percent} %${health.on_battery ? "" : ", charging"}`]);
  }
  if (health.celsius !== null) rows.push(["Heat", `${health.celsius} °C`]);
  const use = health.use;
  if (use.milliwatts > 0) rows.push(["Power", `${(use.milliwatts / 1000).toFixed(1)} W`]);
  if (use.written_today_bytes > 0) rows.push(["Written today", bytes(use.written_today_bytes)]);
  const {compared, wrong, valid_in_a_row: right} = worker.trust;
  rows.push(["Trust", compared === 0 ? "nothing compared yet" : wrong > 0 ? `${wrong} wrong of ${number(compared)}` : `${number(right)} right in a row`]);
  return rows;
}

function remarks(worker) {
  const said = [];
  if (worker.quarantine) said.push(["bad", `Gets no work: ${worker.quarantine.reason}`]);
  if (worker.left_out) said.push(["", `Left out: ${worker.left_out}`]);
  if (worker.health.pause_in_seconds > 0) said.push(["", `Pauses in ${worker.health.pause_in_seconds} s: ${worker.health.reason}`]);
  else if (worker.health.reason) said.push(["", `Lends ${worker.health.share_percent} % of its speed: ${worker.health.reason}`]);
  if (worker.lacks_room) said.push(["", `Has no room: ${worker.lacks_room}`]);
  if (worker.breaker !== "closed") said.push(["bad", `Failed lately: its breaker is ${worker.breaker}`]);
  if (worker.accused_of_wrong_bytes_by > 0) said.push(["bad", `${worker.accused_of_wrong_bytes_by} devices say that it sent them wrong bytes`]);
  return said;
}

// Cards are kept and brought up to date: what has the focus keeps it.
export class Devices {
  constructor() {
    this.cards = new Map();  // by key
    this.asking = new Map();  // by code
  }

  show(pool) {
    const workers = [...pool.workers].sort((a, b) => a.number - b.number);
    const here = new Set(workers.map((worker) => worker.key));
    const named = new Map(pool.devices.map((device) => [device.key, device.name]));
    const away = pool.devices.filter((device) => !here.has(device.key));
    const shown = new Set();
    const total = Math.max(1, pool.units_assigned);
    for (const worker of workers) {
      shown.add(worker.key);
      this.card(worker.key, (card) => this.fill(card, {...worker, name: named.get(worker.key) || worker.name}, total, named.has(worker.key)));
    }
    for (const device of away) {
      shown.add(device.key);
      this.card(device.key, (card) => this.fillAway(card, device));
    }
    for (const [key, card] of this.cards) {
      if (shown.has(key)) continue;
      card.item.remove();
      this.cards.delete(key);
    }
    this.showAsking(pool.waiting);
    return {workers: workers.length, away: away.length};
  }

  card(key, fill) {
    let card = this.cards.get(key);
    if (!card) {
      const part = (tag, cls) => h(tag, {class: cls});
      card = {
        chip: h("i", {class: "chip", "aria-hidden": "true"}), name: h("h3", {}), state: part("span", "state"),
        share: part("p", "share"), facts: part("dl", "facts"), said: part("ul", "remarks plain"),
        manage: h("button", {type: "button", class: "quiet small"}, "Manage"),
      };
      card.item = h("li", {class: "card device"}, h("div", {class: "device-head"}, card.chip, card.name, card.state),
                    card.share, card.facts, card.said, card.manage);
      card.manage.addEventListener("click", () => manage(card.device));
      this.cards.set(key, card);
    }
    fill(card);
    // In order: workers first.
    byId("devices").append(...(card.item.isConnected ? [] : [card.item]));
  }

  head(card, name, state) {
    const [text, kind] = STATES[state] ?? [state, "idle"];
    setText(card.name, name);
    setText(card.state, text);
    card.state.className = `state ${kind}`;
    card.item.classList.toggle("away", state === "away");
    card.manage.setAttribute("aria-label", `Manage ${name}`);
  }

  fill(card, worker, total, listed) {
    card.device = {key: worker.key, name: worker.name};
    this.head(card, worker.name, worker.state);
    card.chip.style.background = deviceColor(worker.number);
    setText(card.chip, String(worker.number));
    card.manage.hidden = !listed;
    const part = worker.units_assigned / total;
    const ready = worker.units_assigned ? worker.units_ready / worker.units_assigned : 0;
    const text = worker.units_assigned === 0 ? "no experts"
      : ready < 1 ? `${percent(ready)} of its ${number(worker.units_assigned)} units fetched`
      : `${percent(part)} of the work, ${number(worker.units_ready)} units`;
    if (card.shareText !== text) {
      card.shareText = text;
      replace(card.share, bar(ready < 1 ? ready : part, ready < 1 ? "fetched" : "share of the work"), h("span", {}, text));
    }
    this.list(card, facts(worker));
    this.remarks(card, remarks(worker));
  }

  fillAway(card, device) {
    card.device = device;
    this.head(card, device.name, "away");
    card.chip.style.background = "";
    setText(card.chip, "");
    card.manage.hidden = false;
    card.shareText = "";
    replace(card.share);
    this.list(card, []);
    this.remarks(card, [["", "Belongs to the pool and is not connected. It comes back by itself, or with: potluck join"]]);
  }

  list(card, rows) {
    const text = JSON.stringify(rows);
    if (card.factsText === text) return;
    card.factsText = text;
    replace(card.facts, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  remarks(card, said) {
    const text = JSON.stringify(said);
    if (card.saidText === text) return;
    card.saidText = text;
    replace(card.said, said.map(([kind, words]) => h("li", {class: kind || null}, words)));
  }

  showAsking(waiting) {
    byId("asking").hidden = waiting.length === 0;
    const codes = new Set(waiting.map((device) => device.code));
    for (const [code, item] of this.asking) {
      if (codes.has(code)) continue;
      item.remove();
      this.asking.delete(code);
    }
    for (const device of waiting) {
      if (this.asking.has(device.code)) continue;
      const item = asks(device);
      this.asking.set(device.code, item);
      byId("asking-list").append(item);
    }
  }
}

// Runs what a button is for; says what went wrong beside it.
function act(button, said, work) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    said.textContent = "";
    try {
      await work();
    } catch (error) {
      said.textContent = error.message;
    }
    button.disabled = false;
  });
  return button;
}

function asks(device) {
  const said = h("p", {class: "bad", role: "alert"});
  const admit = h("button", {type: "button", class: "primary", "aria-label": `Admit ${device.name}, code ${device.code}`}, "Admit");
  const refuse = h("button", {type: "button", class: "quiet", "aria-label": `Turn away ${device.name}`}, "Turn away");
  act(admit, said, () => post("/api/pool/admit", {code: device.code}));
  act(refuse, said, () => post("/api/pool/refuse", {code: device.code}));
  return h("li", {class: "card asks"},
           h("div", {}, h("h3", {}, device.name), h("p", {class: "muted small"}, `key ${device.key.slice(0, 8)}`)),
           h("p", {class: "code", "aria-label": `code ${device.code}`}, device.code), h("div", {class: "row"}, admit, refuse), said);
}

function manage(device) {
  const dialog = byId("device-dialog");
  const said = h("p", {class: "bad", role: "alert"});
  const field = h("input", {id: "device-name", value: device.name, maxlength: "64", autocomplete: "off"});
  const rename = act(h("button", {type: "button", class: "primary"}, "Rename"), said, async () => {
    await post("/api/pool/rename", {device: device.key, name: field.value.trim()});
    dialog.close();
  });
  const sure = h("input", {type: "checkbox", id: "device-sure"});
  const revoke = act(h("button", {type: "button", class: "danger", disabled: true}, "Remove from the pool"), said, async () => {
    await post("/api/pool/revoke", {device: device.key});
    dialog.close();
  });
  sure.addEventListener("change", () => { revoke.disabled = !sure.checked; });
  setText(byId("device-title"), device.name);
  replace(byId("device-body"),
          h("p", {class: "muted small"}, "Key ", h("code", {class: "wrap"}, device.key)),
          h("label", {for: "device-name"}, "Name"), h("p", {class: "row"}, field, rename),
          h("h3", {}, "Remove it"),
          h("p", {}, "Its key is taken off the list. It is disconnected at once, its experts go to other devices, and it needs a new invitation to come back."),
          h("p", {}, sure, " ", h("label", {for: "device-sure"}, "I want that")),
          h("p", {class: "row"}, revoke), said);
  dialog.showModal();
}

// A QR code of rows of "0" and "1", as one picture with a margin.
function qrCanvas(rows) {
  const margin = 4;
  const size = rows.length + 2 * margin;
  const canvas = h("canvas", {class: "qr", role: "img", "aria-label": "The join line as a QR code", width: size, height: size});
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, size, size);
  context.fillStyle = "#000";
  rows.forEach((row, y) => [...row].forEach((dot, x) => {
    if (dot === "1") context.fillRect(x + margin, y + margin, 1, 1);
  }));
  return canvas;
}

const command = (line) => h("div", {class: "command"}, h("code", {class: "wrap", tabindex: "0", role: "textbox", "aria-readonly": "true", "aria-label": "Command"}, line), copyButton(line));

// How a device gets in: by asking, or by an invitation.
export function joinHelp(takesStrangers) {
  const said = h("p", {class: "bad", role: "alert"});
  const place = h("div", {});
  const make = act(h("button", {type: "button", class: takesStrangers ? null : "primary"}, "Make an invitation"), said, async () => {
    const {line, qr} = await (await post("/api/pool/invite")).json();
    replace(place, command(line), qr && qrCanvas(qr),
            h("p", {class: "muted small"}, "It works once, within a day. Anyone who has it can join: keep it to yourself."));
    make.textContent = "Make another one";
  });
  return [
    takesStrangers && h("div", {}, h("h3", {}, "On the same network"),
      h("p", {}, "Run this on the other device. It shows a code; the same code appears here, and you admit it."), command("potluck join")),
    h("div", {}, h("h3", {}, takesStrangers ? "Or by invitation" : "By invitation"),
      h("p", {}, "One line with everything in it, for a device anywhere that reaches this one."),
      h("p", {class: "row"}, make), place, said),
  ];
}

export function openInvite(takesStrangers) {
  replace(byId("invite-body"), joinHelp(takesStrangers));
  byId("invite-dialog").showModal();
}

export function showWelcome(takesStrangers) {
  const place = byId("empty");
  if (!place.hidden) return;
  place.hidden = false;
  replace(place, h("h3", {}, "No device has joined yet"),
          h("p", {}, "Until one does, this coordinator computes everything itself. Bring an old laptop, a mini PC or a phone with Potluck on it."));
  append(place, joinHelp(takesStrangers));
}

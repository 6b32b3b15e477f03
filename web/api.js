// Talks to the server: with the API key, if it wants one, which stays in this tab.
import {h} from "./dom.js";

const KEY = "potluck.key";

export class ApiFault extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? {...more, Authorization: `Bearer ${key}`} : more;
}

async function fault(response) {
  let message = `the server answered ${response.status}`;
  try {
    message = (await response.json()).error.message ?? message;
  } catch {
    // not JSON: the status has to do
  }
  return new ApiFault(response.status, message);
}

function keyDialog(field) {
  return h("dialog", {id: "key-dialog", "aria-labelledby": "key-title"},
    h("form", {method: "dialog"},
      h("h2", {id: "key-title"}, "This coordinator needs a key"),
      h("p", {}, "Make one on its machine with ", h("code", {}, "potluck keys add NAME"),
        ". It stays in this tab."),
      sessionStorage.getItem(KEY) &&
        h("p", {id: "key-note", class: "bad"}, "The coordinator does not know that key."),
      h("label", {for: field.id}, "API key"),
      field,
      h("p", {class: "row"},
        h("button", {value: "use", class: "primary"}, "Use it"),
        h("button", {value: "cancel", formnovalidate: true, class: "quiet"}, "Cancel"))));
}

// Asks for the key until there is one that is taken; one dialog for all who ask.
let asking = null;
function askForKey() {
  asking ??= new Promise((done) => {
    const field = h("input", {id: "key-field", type: "password", autocomplete: "off",
                              required: true});
    const dialog = keyDialog(field);
    dialog.addEventListener("close", () => {
      asking = null;
      dialog.remove();
      const given = dialog.returnValue === "use" && field.value.trim();
      if (given) sessionStorage.setItem(KEY, field.value.trim());
      done(Boolean(given));
    }, {once: true});
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

// A response that is ok; ApiFault otherwise. The caller reads the body.
export async function request(path, options = {}) {
  for (;;) {
    const response = await fetch(path, {...options, headers: headers(options.headers)});
    if (response.ok) return response;
    if (response.status !== 401 || !(await askForKey())) throw await fault(response);
  }
}

export async function getJson(path) {
  return (await request(path)).json();
}

export async function post(path, body = {}, signal = undefined) {
  return request(path, {method: "POST", headers: {"Content-Type": "application/json"},
                        body: JSON.stringify(body), signal});
}

// Calls take({data, comment}) for each event of a stream until it ends.
export async function readEvents(response, take) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const event = rest.slice(0, end);
      rest = rest.slice(end + 2);
      const data = [];
      let comment = "";
      for (const line of event.split("\n")) {
        if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
        else if (line.startsWith(":")) comment = line.slice(1).trim();
      }
      take({data: data.join("\n"), comment});
    }
  }
}

// Follows the pool for as long as the page is open: onState(state), and onLink(whether it is heard,
// what is wrong).
export async function followPool(onState, onLink) {
  const longestPause = 10000;
  let pause = 500;
  for (;;) {
    try {
      const response = await request("/api/pool/events");
      onLink(true, "");
      await readEvents(response, ({data}) => {
        if (!data) return;
        pause = 500;
        onState(JSON.parse(data));
      });
      onLink(false, "The coordinator has ended the connection");
    } catch (error) {
      const said = error instanceof ApiFault ? error.message : "The coordinator does not answer";
      onLink(false, said);
    }
    await new Promise((done) => { setTimeout(done, pause); });
    pause = Math.min(2 * pause, longestPause);
  }
}

// Markdown as elements. Text from a model becomes text nodes and a fixed set of elements, never markup,
// so nothing in it can do anything. What is not understood is shown as it stands.
import {append, copyButton, h} from "./dom.js";

const DEEPEST = 8;
const SAFE_LINK = /^(https?:|mailto:)/i;

// --- within a line --------------------------------------------------------------------------------

const INLINE = [
  // The pattern, and what its match becomes.
  [/(`+)([\s\S]*?[^`])\1(?!`)/, (m) => h("code", {}, m[2].replace(/^ (.*[^ ].*) $/s, "$1"))],
  [/!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(\s*<?([^\s()<>]+(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s+"[^"]*")?\s*\)/,
   (m, deep) => link(m[2], inline(m[1] || m[2], deep))],
  [/<(https?:\/\/[^\s<>]+)>/, (m) => link(m[1], [m[1]])],
  [/\bhttps?:\/\/[^\s<>()\[\]"]*[^\s<>()\[\]".,;:!?'*_]/, (m) => link(m[0], [m[0]])],
  [/\*\*(?=\S)([\s\S]*?\S)\*\*/, (m, deep) => h("strong", {}, inline(m[1], deep))],
  [/(?<![\w_])__(?=\S)([\s\S]*?\S)__(?![\w_])/, (m, deep) => h("strong", {}, inline(m[1], deep))],
  [/\*(?=[^\s*])([\s\S]*?[^\s*])\*(?!\*)/, (m, deep) => h("em", {}, inline(m[1], deep))],
  [/(?<![\w_])_(?=[^\s_])([\s\S]*?[^\s_])_(?![\w_])/, (m, deep) => h("em", {}, inline(m[1], deep))],
  [/~~(?=\S)([\s\S]*?\S)~~/, (m, deep) => h("del", {}, inline(m[1], deep))],
  [/ {2,}\n|\\\n/, () => h("br")],
  [/\\([\\`*_{}\[\]()#+\-.!~|<>])/, (m) => m[1]],
];

function link(address, children) {
  if (!SAFE_LINK.test(address)) return h("span", {}, children);
  return h("a", {href: address, target: "_blank", rel: "noopener noreferrer"}, children);
}

// The first match of any kind, then what is behind it.
function inline(text, deep = 0) {
  if (deep > DEEPEST) return [text];
  const parts = [];
  while (text) {
    let best = null;
    for (const [pattern, make] of INLINE) {
      const match = pattern.exec(text);
      if (match && (!best || match.index < best.match.index)) best = {match, make};
    }
    if (!best) break;
    const {match, make} = best;
    if (match.index > 0) parts.push(text.slice(0, match.index));
    parts.push(make(match, deep + 1));
    text = text.slice(match.index + match[0].length);
  }
  if (text) parts.push(text);
  return parts;
}

// --- blocks -----------------------------------------------------------------------------------------

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*).*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(\s+)(.*)$/;
const QUOTE = /^ {0,3}>\s?/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;

function codeBlock(language, text) {
  return h("div", {class: "code-block"},
           h("div", {class: "code-head"}, h("span", {}, language || "text"), copyButton(text)),
           h("pre", {tabindex: "0"}, h("code", {}, text)));
}

function fence(lines, at) {
  const [, marks, language] = FENCE.exec(lines[at]);
  const code = [];
  let i = at + 1;
  while (i < lines.length && !(lines[i].trim().startsWith(marks) && /^[`~]+$/.test(lines[i].trim()))) code.push(lines[i++]);
  return [codeBlock(language, code.join("\n")), i + 1];
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}

function table(lines, at) {
  const head = cells(lines[at]);
  const aligns = cells(lines[at + 1]).map((rule) => rule.endsWith(":") ? (rule.startsWith(":") ? "center" : "right") : "left");
  const row = (tag, list) => h("tr", {}, head.map((_, c) => h(tag, {class: aligns[c]}, inline(list[c] ?? ""))));
  const rows = [];
  let i = at + 2;
  for (; i < lines.length && lines[i].includes("|") && lines[i].trim(); ++i) rows.push(row("td", cells(lines[i])));
  return [h("div", {class: "scroll"}, h("table", {}, h("thead", {}, row("th", head)), h("tbody", {}, rows))), i];
}

// Items with what is indented below them.
function list(lines, at, deep) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const items = [];
  let i = at;
  let loose = false;
  while (i < lines.length) {
    const match = ITEM.exec(lines[i]);
    if (!match || match[1].length > indent.length + 1 || /\d/.test(match[2]) !== ordered || match[1].length < indent.length) break;
    const inside = match[1].length + match[2].length + Math.min(match[3].length, 4);
    const body = [match[4]];
    ++i;
    while (i < lines.length) {
      const line = lines[i];
      const depth = line.length - line.trimStart().length;
      if (!line.trim()) {
        const next = lines[i + 1] ?? "";
        if (next.length - next.trimStart().length < Math.min(inside, 2) || !next.trim()) break;
        loose = true;
        body.push("");
      } else if (depth >= Math.min(inside, indent.length + 2)) {
        body.push(line.slice(Math.min(depth, inside)));
      } else if (ITEM.test(line) || startsBlock(line)) {
        break;
      } else {
        body.push(line.trim());
      }
      ++i;
    }
    items.push(body);
    while (i < lines.length && !lines[i].trim() && ITEM.test(lines[i + 1] ?? "")) ++i;
  }
  const start = ordered ? Number.parseInt(mark, 10) : 1;
  return [h(ordered ? "ol" : "ul", {start: start === 1 ? null : String(start)},
            items.map((body) => h("li", {}, loose ? blocks(body, deep + 1) : tight(blocks(body, deep + 1))))), i];
}

// Without paragraphs around single lines.
function tight(elements) {
  return elements.flatMap((element) => element.tagName === "P" ? [...element.childNodes] : [element]);
}

function startsBlock(line) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
}

function quote(lines, at, deep) {
  const inner = [];
  let i = at;
  for (; i < lines.length && lines[i].trim() && (QUOTE.test(lines[i]) || !startsBlock(lines[i])); ++i) inner.push(lines[i].replace(QUOTE, ""));
  return [h("blockquote", {}, blocks(inner, deep + 1)), i];
}

function paragraph(lines, at) {
  let i = at + 1;
  while (i < lines.length && lines[i].trim() && !startsBlock(lines[i]) && !/^\s{0,3}(?:[-*+]|1[.)])\s/.test(lines[i])) ++i;
  return [h("p", {}, inline(lines.slice(at, i).map((line, n) => n === 0 ? line.trimStart() : line).join("\n").trimEnd())), i];
}

function heading(line) {
  const [, marks, text] = HEADING.exec(line);
  return h("h6", {dataset: {level: marks.length}}, inline(text));
}

// The largest heading of a text is one below the page's own, whichever it is called.
function rankHeadings(fragment) {
  const found = [...fragment.querySelectorAll("[data-level]")];
  const least = Math.min(...found.map((element) => Number(element.dataset.level)));
  for (const element of found) {
    const rank = Math.min(6, 2 + Number(element.dataset.level) - least);
    element.replaceWith(h(`h${rank}`, {}, [...element.childNodes]));
  }
}

function block(lines, at, deep) {
  const line = lines[at];
  if (FENCE.test(line)) return fence(lines, at);
  if (HEADING.test(line)) return [heading(line), at + 1];
  if (RULE.test(line)) return [h("hr"), at + 1];
  if (deep < DEEPEST && QUOTE.test(line)) return quote(lines, at, deep);
  if (deep < DEEPEST && ITEM.test(line)) return list(lines, at, deep);
  if (line.includes("|") && TABLE_RULE.test(lines[at + 1] ?? "") && (lines[at + 1] ?? "").includes("-")) return table(lines, at);
  return paragraph(lines, at);
}

function blocks(lines, deep) {
  const made = [];
  let at = 0;
  while (at < lines.length) {
    if (!lines[at].trim()) {
      ++at;
      continue;
    }
    const [element, next] = block(lines, at, deep);
    made.push(element);
    at = Math.max(next, at + 1);
  }
  return made;
}

// The elements that a text stands for.
export function markdown(text) {
  const made = document.createDocumentFragment();
  append(made, blocks(text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n"), 0));
  rankHeadings(made);
  return made;
}

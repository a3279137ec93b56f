// Slack's mrkdwn as DOM nodes. The text comes from outside: it becomes text nodes and a fixed set of elements, and
// only http, https and mailto addresses become links.

import { el } from "./dom.js";
import { emoji } from "./emoji.js";

// Formatting marks count only at the edge of a word, as in Slack: a_b_c and 2*3*4 stay as they are.
const before = "(?<![\\p{L}\\p{N}*_~])";
const after = "(?![\\p{L}\\p{N}*_~])";
const mark = (sign) => `${before}[${sign}](?=[^\\s${sign}])[^\\n]*?(?<=[^\\s${sign}])[${sign}]${after}`;
const TOKENS = new RegExp(
  ["`[^`\\n]+`", "<[^<>\\n]+>", ":[a-z0-9_+'-]+:", mark("*"), mark("_"), mark("~")].join("|"), "gu");

/** Slack escapes exactly three characters; this gives them back. */
export function unescape(text) {
  return text.replace(/&(amp|lt|gt);/g, (_, name) => ({ amp: "&", lt: "<", gt: ">" })[name]);
}

/** mrkdwn text as a fragment. `names` tells what ids mean: {person(id), room(id), group(id)} -> string or undefined. */
export function mrkdwn(text, names) {
  const fragment = document.createDocumentFragment();
  const parts = String(text ?? "").split(/```\n?([\s\S]+?)\n?```/);
  parts.forEach((part, index) => {
    if (index % 2) fragment.append(el("pre", {}, unescape(part)));
    else if (part) fragment.append(...paragraphs(index ? part.replace(/^\n/, "") : part, names));
  });
  return fragment;
}

/** Plain text (emoji codes are still shown as emoji). */
export function plain(text) {
  const fragment = document.createDocumentFragment();
  const parts = String(text ?? "").split(/:([a-z0-9_+'-]+):/);
  parts.forEach((part, index) => fragment.append(index % 2 ? emoji(part) : unescape(part)));
  return fragment;
}

function paragraphs(text, names) {
  const nodes = [];
  let quote = null;
  text.split("\n").forEach((line, index) => {
    const quoted = line.match(/^(?:>|&gt;) ?(.*)$/);
    if (quoted) {
      if (quote) quote.append(el("br"));
      else nodes.push((quote = el("blockquote")));
      quote.append(...inline(quoted[1], names));
      return;
    }
    if (index && !quote) nodes.push(el("br"));
    quote = null;
    nodes.push(...inline(line, names));
  });
  return nodes;
}

function inline(text, names) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(TOKENS)) {
    if (match.index > end) nodes.push(unescape(text.slice(end, match.index)));
    nodes.push(token(match[0], names));
    end = match.index + match[0].length;
  }
  if (end < text.length) nodes.push(unescape(text.slice(end)));
  return nodes;
}

function token(raw, names) {
  const inside = raw.slice(1, -1);
  switch (raw[0]) {
    case "`": return el("code", {}, unescape(inside));
    case ":": return emoji(inside);
    case "*": return el("strong", {}, inline(inside, names));
    case "_": return el("em", {}, inline(inside, names));
    case "~": return el("s", {}, inline(inside, names));
    default: return reference(inside, names);
  }
}

function reference(inside, names) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? "" : inside.slice(bar + 1);
  if (target.startsWith("@")) {
    return el("span", { class: "mention" }, `@${names.person(target.slice(1)) ?? (unescape(label) || target.slice(1))}`);
  }
  if (target.startsWith("#")) {
    return el("span", { class: "mention" }, `#${names.room(target.slice(1)) ?? (unescape(label) || target.slice(1))}`);
  }
  if (target.startsWith("!date^")) return date(target.split("^"), label);
  if (target.startsWith("!subteam^")) {
    const handle = names.group(target.slice("!subteam^".length));
    return el("span", { class: "mention" }, handle ? `@${handle}` : unescape(label) || "@group");
  }
  if (target.startsWith("!")) return el("span", { class: "mention loud" }, `@${target.slice(1)}`);
  return link(unescape(target), unescape(label), names);
}

/** A link that opens in its own tab; any other kind of address stays text. */
export function link(address, label) {
  if (!/^(https?:\/\/|mailto:)/i.test(address)) return document.createTextNode(label || address);
  return el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, plain(label || address));
}

// https://docs.slack.dev/messaging/formatting-message-text#date-formatting
function date([, seconds, format, address], fallback) {
  const when = new Date(Number(seconds) * 1000);
  if (Number.isNaN(when.getTime()) || !format) return document.createTextNode(unescape(fallback));
  const show = (options) => when.toLocaleDateString([], options);
  const long = { weekday: "long", month: "long", day: "numeric", year: "numeric" };
  const values = {
    date_num: `${when.getFullYear()}-${pad(when.getMonth() + 1)}-${pad(when.getDate())}`,
    date: show({ month: "long", day: "numeric", year: "numeric" }),
    date_short: show({ month: "short", day: "numeric", year: "numeric" }),
    date_long: show(long),
    time: `${pad(when.getHours())}:${pad(when.getMinutes())}`,
    time_secs: `${pad(when.getHours())}:${pad(when.getMinutes())}:${pad(when.getSeconds())}`,
  };
  const near = nearDay(when);
  values.date_pretty = near ?? values.date;
  values.date_short_pretty = near ?? values.date_short;
  values.date_long_pretty = near ?? values.date_long;
  values.ago = `${Math.max(0, Math.round((Date.now() - when) / 60000))} minutes ago`;
  const text = unescape(format).replace(/\{([a-z_]+)\}/g, (whole, name) => values[name] ?? whole);
  const node = el("time", { datetime: when.toISOString(), title: when.toLocaleString() }, text);
  return address && /^https?:/i.test(address)
    ? el("a", { href: unescape(address), target: "_blank", rel: "noopener noreferrer" }, node) : node;
}

function nearDay(when) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[Math.round((midnight(when) - midnight(new Date())) / 86400000)];
}

function pad(number) {
  return String(number).padStart(2, "0");
}

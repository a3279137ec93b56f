// Small helpers to build pages. Text from outside only ever becomes text nodes: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element. `props`: `class`, `on` ({event: handler}), `data` ({key: value}), other names are attributes;
 *  null, undefined and false leave an attribute out. Children: nodes, strings, arrays of them; null and false are skipped. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

/** Makes an SVG picture of `shapes` ([tag, attributes] pairs) on a 20 x 20 field. It is decoration: readers skip it. */
export function picture(shapes, className = "icon") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  for (const [tag, attributes] of shapes) {
    const shape = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    svg.append(shape);
  }
  return svg;
}

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child);
  }
}

/** Puts new children into a container and keeps the reader's place: the focused element (found again by `data-key`),
 *  its caret, and what was typed into it. */
export function swap(container, ...children) {
  const active = document.activeElement;
  const key = container.contains(active) ? active?.dataset?.key : undefined;
  const typed = key && active.selectionStart != null ? [active.value, active.selectionStart, active.selectionEnd] : null;
  const top = container.scrollTop;
  container.replaceChildren();
  append(container, children);
  container.scrollTop = top;
  if (!key) return;
  const again = [...container.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key);
  if (!again) return;
  again.focus({ preventScroll: true });
  if (typed && again.selectionStart != null) {
    again.value = typed[0];
    again.setSelectionRange(typed[1], typed[2]);
  }
}

/** Sends JSON and gives back the JSON answer; raises an Error with the server's own words when it refuses. */
export async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The playground does not answer. Is it still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The playground answered ${response.status}.`);
  return answer;
}

/** A short note at the foot of the page, read out by screen readers, that goes away by itself. */
export function toast(text) {
  const place = document.getElementById("toasts");
  const note = el("p", { class: "toast" }, text);
  place.append(note);
  setTimeout(() => note.remove(), 7000);
}

/** Seconds since 1970 as the reader's wall-clock time, "14:05". */
export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
}

/** A date as "Today", "Yesterday" or "Monday, 3 June". */
export function day(seconds) {
  const date = new Date(seconds * 1000);
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86400000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return date.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** How long ago an ISO time was, in a few letters: "just now", "5 min", "3 h", "2 d". */
export function ago(iso) {
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

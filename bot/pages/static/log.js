// Follows a log and shows it. What comes is text and stays text: no HTML is ever made of it.

import { Screen } from "./screen.js";

const BLOCK = 50; // rows that the browser lays out, or leaves out, together
const SLICE = 8192; // characters that are worked on between two looks at the time
const BUDGET = 9; // milliseconds of each frame
const BEHIND = 65536; // characters that wait, from which on there is more to catch up with than to follow
const HASTE = 30; // milliseconds of each frame then
const NEAR = 24; // pixels from the end that still count as the end
const AGAIN = 5000; // milliseconds after which a refused stream is asked for again

const id = document.body.dataset.id, name = document.body.dataset.name;
const part = (key) => document.getElementById(key);
const log = part("log"), jump = part("jump"), root = document.documentElement;
const screen = new Screen();

let waiting = []; // pieces that are not shown yet
let behind = 0; // their characters
let scheduled = false;
let block = null, rows = 0, open = null;
let following = true;
let source = null, last = 0;
let state = null, since = 0, over = false;

// Showing

function later() {
  if (scheduled) return;
  scheduled = true;
  // A page in the background gets no frames, and must not fall behind for ever.
  if (document.hidden) setTimeout(show, 200);
  else requestAnimationFrame(show);
}

function show() {
  scheduled = false;
  const until = performance.now() + (behind > BEHIND ? HASTE : BUDGET);
  if (open) open.remove();
  open = null;
  while (waiting.length && performance.now() < until) {
    const piece = waiting[0].slice(0, SLICE);
    if (waiting[0].length > SLICE) waiting[0] = waiting[0].slice(SLICE);
    else waiting.shift();
    behind -= piece.length;
    screen.feed(piece);
    for (const row of screen.done) append(row);
    screen.done = [];
  }
  if (screen.row.length) open = append(screen.row, true);
  if (waiting.length) later();
  else if (over) finish();
  toEnd();
}

function append(row, unfinished = false) {
  if (!block || block.childElementCount >= BLOCK) {
    block = document.createElement("div");
    block.className = "block";
    block.style.containIntrinsicSize = `auto none auto calc(${BLOCK} * var(--row))`;
    log.append(block);
  }
  const element = document.createElement("div");
  element.className = "row";
  if (!row.more) element.dataset.row = rows + 1;
  for (const run of row.runs) element.append(run.style ? span(run) : run.text);
  block.append(element);
  if (!unfinished && !row.more) rows += 1;
  return element;
}

function span({ text, style }) {
  const element = document.createElement("span");
  if (style.classes) element.className = style.classes;
  if (style.color) element.style.color = style.color;
  if (style.background) element.style.background = style.background;
  element.textContent = text;
  return element;
}

// The end

// Rows out of sight cost nothing, so a long log is laid out only once it is all there.
function toEnd() {
  if (following && behind <= BEHIND) root.scrollTop = root.scrollHeight;
}

function follow(yes) {
  following = yes;
  root.classList.toggle("following", yes);
  jump.hidden = yes;
}

document.addEventListener("scroll", () => {
  const away = root.scrollHeight - root.clientHeight - root.scrollTop;
  if ((away <= NEAR) !== following) follow(away <= NEAR);
}, { passive: true });
jump.addEventListener("click", () => {
  follow(true);
  toEnd();
});
// Rows get their true height when they come into sight; who is at the end stays there.
new ResizeObserver(toEnd).observe(document.body);

// How it stands

function lasted(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function tick() {
  if (!state) return;
  const more = over ? 0 : Math.floor((performance.now() - since) / 1000);
  part("time").textContent = lasted(state.seconds + more);
}

function stands(told) {
  state = told;
  since = performance.now();
  document.querySelector(".state").dataset.state = told.state;
  part("words").textContent = told.words;
  document.title = `${told.words}: ${name}`;
  part("open").hidden = !/^https?:/.test(told.open);
  if (/^https?:/.test(told.open)) part("open").href = told.open;
  over = false;
  tick();
}

function finish() {
  const end = part("end"), lines = rows + (open ? 1 : 0);
  end.textContent = lines ? `End of the log: ${lines === 1 ? "1 line" : `${lines.toLocaleString("en")} lines`}` : "Nothing was printed.";
  end.hidden = false;
}

function note(text) {
  part("note").textContent = text;
  part("note").hidden = !text;
}

// Following

function listen() {
  source = new EventSource(`${id}/events?after=${last}`);
  source.onopen = () => note("");
  source.onerror = () => {
    note("The connection is lost. Trying again …");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
  };
  source.addEventListener("state", (event) => stands(JSON.parse(event.data)));
  source.addEventListener("output", (event) => {
    last = Number(event.lastEventId);
    const piece = JSON.parse(event.data);
    waiting.push(piece);
    behind += piece.length;
    later();
  });
  source.addEventListener("end", (event) => {
    source.close();
    note(JSON.parse(event.data).kept ? "" : "This log is no longer kept.");
    over = true;
    later();
  });
}

history.scrollRestoration = "manual";
follow(true);
setInterval(tick, 1000);
listen();

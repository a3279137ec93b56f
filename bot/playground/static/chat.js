// Rooms, messages and the thread beside them.

import { blocks } from "./blocks.js";
import { clock, day, el, picture, post, swap, toast } from "./dom.js";
import { mrkdwn, plain } from "./mrkdwn.js";

const SHIP = [["path", { d: "M3.5 12h13l-2.2 4.5H5.7zM9.5 4v6.7H4.8zM10.8 5.5l4.6 5.2h-4.6z", fill: "#fff" }]];
const GROUPING = 300; // seconds within which one person's lines stand under one name

/** The chat's part of the page. `app` has state, room, thread, and open(room), openThread(ts), closeThread(), fill(text). */
export class Chat {
  constructor(app) {
    this.app = app;
    this.log = document.getElementById("messages");
    this.threadLog = document.getElementById("thread-messages");
    this.drawn = { room: null, nodes: new Map() };
    this.drawnThread = { room: null, nodes: new Map() };
    this.announced = new Map();
    stayAtEnd(this.log);
    stayAtEnd(this.threadLog);
  }

  draw() {
    this.drawSidebar();
    this.drawHead();
    const room = this.app.currentRoom();
    const top = room.messages.filter((message) => !message.thread_ts || message.thread_ts === message.ts);
    this.drawList(this.log, this.drawn, room.id, [...this.welcome(room), ...this.rows(top, room)]);
    this.drawThread(room);
    this.announce(room);
  }

  drawSidebar() {
    const { state } = this.app;
    const entry = (room) => {
      const unread = this.app.unread(room);
      const sign = room.kind === "direct" ? avatar({ name: state.bot.name, bot: true }, "small") : el("span", { class: "hash", "aria-hidden": "true" }, "#");
      return el("li", {}, el("button", {
        type: "button", class: `room ${unread ? "unread" : ""}`, "aria-current": room.id === this.app.room && !this.app.home ? "page" : null,
        data: { key: `room-${room.id}`, room: room.id }, on: { click: () => this.app.open(room.id) },
      }, sign, el("span", { class: "room-name" }, room.name),
      unread > 0 && el("span", { class: "badge" }, String(unread), el("span", { class: "hidden" }, " unread"))));
    };
    swap(document.getElementById("rooms"), state.rooms.filter((room) => room.kind === "room").map(entry));
    const home = el("li", {}, el("button", {
      type: "button", class: "room", "aria-current": this.app.home ? "page" : null, data: { key: "home" }, on: { click: () => this.app.openHome() },
    }, el("span", { class: "hash", "aria-hidden": "true" }, "⌂"), el("span", { class: "room-name" }, "Home")));
    swap(document.getElementById("directs"), home, state.rooms.filter((room) => room.kind === "direct").map(entry));
    swap(document.getElementById("people"), state.people.map((person) => el("li", {}, el("button", {
      type: "button", class: "person", "aria-pressed": String(person.id === state.viewer), title: `Speak as ${person.real_name}`,
      data: { key: `person-${person.id}`, person: person.id }, on: { click: () => this.app.become(person.id) },
    }, avatar(this.app.author(person.id), "small"), el("span", {}, person.name), person.id === state.viewer && el("span", { class: "you" }, "you")))));
  }

  drawHead() {
    const room = this.app.currentRoom();
    const { home, state } = this.app;
    this.log.hidden = home;
    document.getElementById("composer").hidden = home;
    if (home) {
      swap(document.getElementById("room-title"), "Home");
      swap(document.getElementById("room-topic"), `What ${state.bot.name} shows you, and nobody else`);
      return;
    }
    swap(document.getElementById("room-title"), room.kind === "room" ? `#${room.name}` : room.name);
    swap(document.getElementById("room-topic"), room.topic);
  }

  /** What stands above the first message: what this room is for and, where it helps, what to type first. */
  welcome(room) {
    const { hints } = this.app.state;
    const own = hints.filter((hint) => hint.room === room.id);
    const title = room.kind === "room" ? `Welcome to #${room.name}` : `You and ${room.name}`;
    const node = () => el("section", { class: "welcome" },
      el("h2", {}, title),
      el("p", {}, room.about),
      own.map((hint) => el("div", { class: "hint" },
        el("p", {}, hint.text),
        el("div", { class: "chips" }, hint.tries.map((text) => el("button", {
          type: "button", class: "chip", on: { click: () => this.app.fill(text) },
        }, text))))));
    return [{ key: "welcome", print: JSON.stringify([title, room.about, own]), node }];
  }

  rows(messages, room, inThread = false) {
    const rows = [];
    let previous = null;
    for (const message of messages) {
      const seconds = Number(message.ts);
      if (!inThread && (!previous || day(Number(previous.ts)) !== day(seconds))) {
        const label = day(seconds);
        rows.push({ key: `day-${label}`, print: label, node: () => el("div", { class: "day", role: "separator" }, el("span", {}, label)) });
        previous = null;
      }
      const joined = previous && previous.user === message.user && seconds - Number(previous.ts) < GROUPING
        && !message.blocks?.length && !previous.blocks?.length && previous.only_you === message.only_you;
      const replies = inThread ? [] : room.messages.filter((reply) => reply.thread_ts === message.ts && reply.ts !== message.ts);
      const last = replies.at(-1)?.ts ?? "";
      const open = this.app.thread === message.ts;
      rows.push({
        key: message.key,
        print: JSON.stringify([message, joined, replies.length, last, open, this.app.state.viewer]),
        node: () => this.row(message, room, { joined, replies, open, inThread }),
      });
      previous = message;
    }
    return rows;
  }

  row(message, room, { joined, replies, open, inThread }) {
    const author = this.app.author(message.user);
    const body = el("div", { class: "message-body" },
      !joined && el("div", { class: "message-head" },
        el("span", { class: "author" }, author.name),
        author.bot && el("span", { class: "app-tag" }, "app"),
        el("time", { datetime: new Date(Number(message.ts) * 1000).toISOString() }, clock(Number(message.ts))),
        message.edited && el("span", { class: "edited", title: `last at ${clock(Number(message.edited))}` }, "edited")),
      message.only_you && el("p", { class: "only-you" }, "Only visible to you"),
      this.content(message, room),
      replies.length > 0 && this.threadLink(message, replies, open));
    return el("article", {
      class: `message ${joined ? "joined" : ""} ${message.only_you ? "private" : ""} ${inThread ? "in-thread" : ""}`,
      data: { ts: message.ts }, "aria-label": `${author.name}, ${clock(Number(message.ts))}`,
    }, joined ? el("span", { class: "gutter" }) : avatar(author), body);
  }

  content(message, room) {
    const context = { names: this.app.names, act: (item, block, options) => this.act(room, message, item, options) };
    const attached = (message.attachments ?? []).map((attachment) => el("div", { class: "attachment" },
      el("span", { class: "attachment-bar" }), el("div", {}, blocks(attachment.blocks ?? [], context),
        !attachment.blocks && el("div", { class: "text" }, mrkdwn(attachment.text ?? attachment.fallback, this.app.names)))));
    if (message.blocks?.length) return [el("div", { class: "card" }, blocks(message.blocks, context)), attached];
    if (message.command) return el("div", { class: "text" }, el("code", { class: "command" }, plain(message.text)));
    return [message.text && el("div", { class: "text" }, mrkdwn(message.text, this.app.names)), attached];
  }

  threadLink(message, replies, open) {
    const faces = [...new Set(replies.map((reply) => reply.user))].slice(0, 3);
    return el("button", {
      type: "button", class: "thread-link", "aria-expanded": String(open), data: { key: `thread-${message.ts}` },
      on: { click: () => (open ? this.app.closeThread() : this.app.openThread(message.ts)) },
    }, faces.map((user) => avatar(this.app.author(user), "tiny")), el("span", { class: "thread-count" }, replies.length === 1 ? "1 reply" : `${replies.length} replies`),
    el("span", { class: "thread-when" }, `last at ${clock(Number(replies.at(-1).ts))}`));
  }

  drawThread(room) {
    const panel = document.getElementById("thread");
    const root = this.app.thread && room.messages.find((message) => message.ts === this.app.thread);
    panel.hidden = !root;
    document.body.classList.toggle("with-thread", Boolean(root));
    if (!root) {
      this.drawnThread = { room: null, nodes: new Map() };
      this.threadLog.replaceChildren();
      return;
    }
    const replies = room.messages.filter((message) => message.thread_ts === root.ts && message.ts !== root.ts);
    const rows = this.rows([root, ...replies], room, true);
    const line = { key: "count", print: String(replies.length), node: () => el("div", { class: "day", role: "separator" },
      el("span", {}, replies.length === 1 ? "1 reply" : `${replies.length} replies`)) };
    rows.splice(1, 0, line);
    this.drawList(this.threadLog, this.drawnThread, `${room.id}/${root.ts}`, rows);
  }

  /** Brings a list up to date: rows are kept by key and made anew only when what they show has changed. */
  drawList(list, drawn, place, rows) {
    const fresh = drawn.room !== place;
    if (fresh) {
      drawn.room = place;
      drawn.nodes = new Map();
      list.replaceChildren();
    }
    const atEnd = fresh || nearEnd(list);
    const keys = new Set(rows.map((row) => row.key));
    for (const [key, kept] of drawn.nodes) {
      if (keys.has(key)) continue;
      kept.node.remove();
      drawn.nodes.delete(key);
    }
    let cursor = list.firstChild;
    for (const row of rows) {
      let kept = drawn.nodes.get(row.key);
      if (!kept || kept.print !== row.print) {
        const node = row.node();
        if (kept) {
          if (cursor === kept.node) cursor = node;
          replace(kept.node, node);
        } else if (!fresh) {
          node.classList.add("arrived");
        }
        kept = { node, print: row.print };
        drawn.nodes.set(row.key, kept);
      }
      if (kept.node === cursor) cursor = cursor.nextSibling;
      else list.insertBefore(kept.node, cursor);
    }
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  /** Says new and changed lines of the open room to screen readers, by the message's own `text`: it is made for that. */
  announce(room) {
    const first = this.announced.get("room") !== room.id;
    const lines = [];
    for (const message of room.messages) {
      if (this.announced.get(message.key) === message.text) continue;
      this.announced.set(message.key, message.text);
      if (!first && message.user !== this.app.state.viewer) lines.push(`${this.app.author(message.user).name}: ${message.text}`);
    }
    this.announced.set("room", room.id);
    if (!lines.length) return;
    const words = document.createElement("p");
    words.append(mrkdwn(lines.slice(-3).join("\n"), this.app.names));
    document.getElementById("announcer").replaceChildren(words);
  }

  async act(room, message, item, { quiet = false } = {}) {
    try {
      await post("playground/click", {
        user: this.app.state.viewer, room: room.id, ts: message.ts, action_id: item.action_id, value: item.value ?? null,
      });
    } catch (error) {
      if (!quiet) toast(error.message);
    }
  }
}

function replace(old, node) {
  const focused = old.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  old.replaceWith(node);
  node.classList.add("changed");
  if (focused) [...node.querySelectorAll("[data-key]")].find((item) => item.dataset.key === focused)?.focus({ preventScroll: true });
}

/** The ship of the bot, or an initial on the person's colour. `author`: {name, bot, hue}. */
export function avatar(author, size = "") {
  if (author.bot) return el("span", { class: `avatar bot ${size}`, "aria-hidden": "true" }, picture(SHIP, "ship"));
  const node = el("span", { class: `avatar ${size}`, "aria-hidden": "true" }, author.name.slice(0, 1).toUpperCase());
  node.style.setProperty("--hue", String(author.hue));
  return node;
}

function nearEnd(list) {
  return list.scrollHeight - list.scrollTop - list.clientHeight < 80;
}

/** Who reads the newest lines goes on doing so when the list changes its width or height. */
function stayAtEnd(list) {
  let atEnd = true;
  let size = "";
  const measure = () => `${list.clientWidth}x${list.clientHeight}`;
  list.addEventListener("scroll", () => {
    // A new size scrolls too, as lines wrap differently; only the reader's own scrolling counts.
    if (measure() === size) atEnd = nearEnd(list);
  }, { passive: true });
  new ResizeObserver(() => {
    size = measure();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }).observe(list);
}

// The playground's page: one state, sent whole by the server after each change, drawn by three parts.

import { Chat } from "./chat.js";
import { Composer, suggestions } from "./composer.js";
import { post, toast } from "./dom.js";
import { GitHub } from "./github.js";
import { Views } from "./views.js";

const HUES = [16, 212, 285, 95, 335, 48]; // of the people, in their order
const RECONNECT = 1500; // milliseconds until the next try after the stream broke

class App {
  constructor() {
    this.state = null;
    this.room = null;
    this.home = false; // whether the bot's home tab is open, in the place of a room
    this.thread = null;
    this.seen = new Map(); // room -> the newest ts that was on screen
    this.stream = null;
    this.chat = new Chat(this);
    this.github = new GitHub(this);
    this.views = new Views(this);
    this.names = {
      person: (id) => (id === this.state.bot.id ? this.state.bot.name : this.state.people.find((person) => person.id === id)?.name),
      room: (id) => this.state.rooms.find((room) => room.id === id)?.name,
      group: (id) => this.state.usergroups.find((group) => group.id === id)?.handle,
    };
    this.composer = new Composer(document.getElementById("composer"), {
      target: () => ({ user: this.state.viewer, room: this.room }),
      suggest: (text) => (this.state ? suggestions(this.state, text) : []),
      sent: () => this.toEnd(document.getElementById("messages")),
    });
    this.replies = new Composer(document.getElementById("thread-composer"), {
      target: () => ({ user: this.state.viewer, room: this.room, thread_ts: this.thread }),
      sent: () => this.toEnd(document.getElementById("thread-messages")),
    });
    document.getElementById("thread-close").addEventListener("click", () => this.closeThread());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.thread && !document.querySelector("dialog[open]")) this.closeThread();
    });
    for (const tab of document.querySelectorAll("#tabs [data-goto]")) {
      tab.addEventListener("click", () => this.show(tab.dataset.goto));
    }
    this.show("chat");
    this.connect(remembered());
  }

  /** Opens the stream of states as `viewer` sees them; opens it again when it breaks. */
  connect(viewer) {
    clearTimeout(this.retry);
    this.stream?.close();
    const query = viewer ? `?viewer=${encodeURIComponent(viewer)}` : "";
    const stream = new EventSource(`playground/events${query}`);
    this.stream = stream;
    stream.addEventListener("state", (event) => {
      this.connected(true);
      this.take(JSON.parse(event.data));
    });
    stream.addEventListener("error", () => {
      if (stream !== this.stream) return;
      this.connected(false);
      stream.close();
      this.retry = setTimeout(() => this.connect(this.state?.viewer ?? null), RECONNECT);
    });
  }

  connected(yes) {
    document.body.classList.toggle("offline", !yes);
    document.getElementById("connection").textContent = yes ? "" : "Not connected, trying again…";
  }

  take(state) {
    const first = !this.state || this.state.viewer !== state.viewer;
    this.state = state;
    if (!state.rooms.some((room) => room.id === this.room)) this.room = state.rooms[0]?.id ?? null;
    if (first) {
      for (const room of state.rooms) this.seen.set(room.id, newest(room));
      this.composer.input.placeholder = `Message ${title(this.currentRoom())} as ${this.names.person(state.viewer)}, or type ${state.command}`;
    }
    this.draw();
    if (first && this.home) void this.tellHome();
  }

  draw() {
    if (!this.state || !this.room) return;
    if (document.body.dataset.tab === "chat" && !this.home) this.seen.set(this.room, newest(this.currentRoom()));
    this.chat.draw();
    this.github.draw();
    this.views.draw();
    const unread = this.state.rooms.reduce((sum, room) => sum + this.unread(room), 0);
    const here = this.unread(this.currentRoom());
    document.getElementById("tab-new").hidden = here === 0;
    document.getElementById("tab-unread").hidden = unread === here;
    document.title = `${unread ? `(${unread}) ` : ""}${this.home ? "Home" : title(this.currentRoom())} · Shipbot playground`;
  }

  currentRoom() {
    return this.state.rooms.find((room) => room.id === this.room);
  }

  author(id) {
    if (id === this.state.bot.id) return { name: this.state.bot.name, bot: true, hue: 0 };
    if (id === "USLACKBOT") return { name: "Slackbot", bot: false, hue: 320 };
    const place = this.state.people.findIndex((person) => person.id === id);
    return { name: this.state.people[place]?.name ?? id, bot: false, hue: HUES[Math.max(0, place) % HUES.length] };
  }

  unread(room) {
    const seen = this.seen.get(room.id) ?? "";
    return room.messages.filter((message) => message.ts > seen && message.user !== this.state.viewer).length;
  }

  open(room) {
    this.room = room;
    this.home = false;
    this.thread = null;
    this.composer.input.placeholder = `Message ${title(this.currentRoom())} as ${this.names.person(this.state.viewer)}, or type ${this.state.command}`;
    this.show("chat");
    this.draw();
    if (matchMedia("(min-width: 760px)").matches) this.composer.input.focus();
  }

  openHome() {
    this.home = true;
    this.thread = null;
    this.show("chat");
    this.draw();
    void this.tellHome();
  }

  /** Slack tells the bot each time somebody opens its home tab. */
  async tellHome() {
    try {
      await post("playground/home/open", { user: this.state.viewer });
    } catch (error) {
      toast(error.message);
    }
  }

  openThread(ts) {
    this.thread = ts;
    this.draw();
    if (matchMedia("(min-width: 760px)").matches) document.getElementById("thread-input").focus();
  }

  closeThread() {
    const ts = this.thread;
    this.thread = null;
    this.draw();
    document.querySelector(`[data-key="thread-${CSS.escape(ts ?? "")}"]`)?.focus();
  }

  become(person) {
    remember(person);
    this.thread = null;
    this.connect(person);
  }

  fill(text) {
    this.composer.fill(text);
  }

  show(tab) {
    document.body.dataset.tab = tab;
    for (const button of document.querySelectorAll("#tabs [data-goto]")) {
      button.setAttribute("aria-current", button.dataset.goto === tab ? "page" : "false");
    }
    if (this.state) this.draw();
    if (tab === "chat") this.toEnd(document.getElementById("messages"));
  }

  toEnd(list) {
    list.scrollTop = list.scrollHeight;
  }
}

function title(room) {
  return room.kind === "room" ? `#${room.name}` : room.name;
}

function newest(room) {
  return room.messages.reduce((last, message) => (message.ts > last ? message.ts : last), "");
}

// Who the reader speaks as stays over a reload of this tab; two tabs may be two people.
function remembered() {
  try {
    return sessionStorage.getItem("viewer");
  } catch {
    return null;
  }
}

function remember(person) {
  try {
    sessionStorage.setItem("viewer", person);
  } catch {
    // no storage here: the choice holds until the next reload
  }
}

new App();

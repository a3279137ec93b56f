// The line to type in: slash command hints, history, Enter to send.

import { el, post, toast } from "./dom.js";

const SHOWN = 8;

/** One input with its hints. `place`: the ids' prefix; `target()` gives {user, room, thread_ts?}; `suggest(text)` gives
 *  [{insert, label, about}]; `sent()` runs after each line. */
export class Composer {
  constructor(form, { target, suggest = () => [], sent = () => {} }) {
    this.form = form;
    this.input = form.querySelector("input");
    this.list = form.querySelector("[role=listbox]");
    this.target = target;
    this.suggest = suggest;
    this.sent = sent;
    this.history = [];
    this.at = 0;
    this.chosen = -1;
    this.items = [];
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    this.input.addEventListener("input", () => {
      this.at = this.history.length;
      this.offer();
    });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("focus", () => this.offer());
    this.input.addEventListener("blur", () => this.hide());
  }

  fill(text) {
    this.input.value = text;
    this.input.focus();
    this.input.setSelectionRange(text.length, text.length);
    this.offer();
  }

  async send() {
    const text = this.input.value.trim();
    if (!text) return;
    if (this.history.at(-1) !== text) this.history.push(text);
    this.at = this.history.length;
    this.input.value = "";
    this.hide();
    this.sent();
    try {
      await post("playground/say", { ...this.target(), text });
    } catch (error) {
      if (!this.input.value) this.input.value = text;
      toast(error.message);
    }
  }

  key(event) {
    const offered = this.items.length > 0;
    const browsing = this.at < this.history.length;
    if (event.key === "Escape" && offered) {
      event.stopPropagation();
      this.hide();
    } else if (event.key === "Tab" && offered && !event.shiftKey && this.input.value) {
      const item = this.items[Math.max(0, this.chosen)];
      if (item.insert === this.input.value) return;
      event.preventDefault();
      this.accept(item);
    } else if (event.key === "Enter" && offered && this.chosen >= 0) {
      event.preventDefault();
      this.accept(this.items[this.chosen]);
    } else if (event.key === "ArrowUp" && (browsing || !this.input.value)) {
      this.recall(-1, event);
    } else if (event.key === "ArrowDown" && browsing) {
      this.recall(1, event);
    } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && offered) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.choose((this.chosen + step + this.items.length + (this.chosen < 0 && step < 0 ? 1 : 0)) % this.items.length);
    }
  }

  recall(step, event) {
    if (!this.history.length) return;
    event.preventDefault();
    this.at = Math.min(this.history.length, Math.max(0, this.at + step));
    this.input.value = this.history[this.at] ?? "";
    this.hide();
  }

  accept(item) {
    this.input.value = item.insert;
    this.offer();
  }

  offer() {
    if (document.activeElement !== this.input || !this.list) return;
    this.items = this.suggest(this.input.value).slice(0, SHOWN);
    this.chosen = -1;
    this.list.replaceChildren(...this.items.map((item, index) => {
      const option = el("li", { role: "option", id: `${this.list.id}-${index}`, "aria-selected": "false" },
        el("code", {}, item.label), item.about && el("span", {}, item.about));
      // mousedown, not click: the input must not lose the focus first
      option.addEventListener("mousedown", (event) => {
        event.preventDefault();
        this.accept(item);
      });
      return option;
    }));
    this.list.hidden = !this.items.length;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    this.input.removeAttribute("aria-activedescendant");
  }

  choose(index) {
    this.chosen = index;
    [...this.list.children].forEach((option, at) => {
      option.setAttribute("aria-selected", String(at === index));
      if (at === index) option.scrollIntoView({ block: "nearest" });
    });
    this.input.setAttribute("aria-activedescendant", `${this.list.id}-${index}`);
  }

  hide() {
    this.items = [];
    this.chosen = -1;
    if (!this.list) return;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}

/** What may be typed next, from `state.forms` and the repositories there are. Forms are shown while nothing is begun, whole commands after. */
export function suggestions(state, text) {
  if (!text.startsWith("/")) return [];
  const { command } = state;
  if (!text.startsWith(`${command} `)) {
    if (!command.startsWith(text)) return [];
    return [{ insert: `${command} `, label: command, about: "APP/REF to ENV, help, or Enter for a form" }];
  }
  const rest = text.slice(command.length + 1).trimStart();
  if (!rest) return state.forms.map((form) => ({ insert: `${command} ${form.begin}`, label: `${command} ${form.form}`, about: form.about }));
  const begun = state.forms.filter((form) => form.begin && form.begin.startsWith(rest) && form.begin !== rest);
  const whole = commands(state).filter(({ text: line }) => line.toLowerCase().startsWith(rest.toLowerCase()) && line !== rest);
  return [
    ...begun.map((form) => ({ insert: `${command} ${form.begin}`, label: `${command} ${form.form}`, about: form.about })),
    ...whole.map(({ text: line, about }) => ({ insert: `${command} ${line}`, label: `${command} ${line}`, about })),
  ].filter((item, index, all) => all.findIndex((other) => other.insert === item.insert) === index);
}

function commands(state) {
  const lines = [];
  for (const app of state.apps) {
    const repository = state.github.repositories.find((item) => item.name === app.repository);
    const refs = [...(repository?.branches ?? []), ...(repository?.tags ?? [])];
    for (const environment of app.environments) {
      lines.push({ text: `${app.name} to ${environment}`, about: "the default branch" });
      for (const ref of refs) lines.push({ text: `${app.name}/${ref.name} to ${environment}`, about: ref.message ?? "" });
    }
  }
  for (const app of state.apps) {
    for (const word of ["where", "status", "history"]) lines.push({ text: `${word} ${app.name}`, about: "" });
    for (const environment of app.environments) lines.push({ text: `diff ${app.name} in ${environment}`, about: "what is not out yet" });
  }
  return lines;
}

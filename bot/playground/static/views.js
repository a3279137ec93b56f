// The bot's modal and its home tab, as the speaking person sees them.

import { blocks } from "./blocks.js";
import { el, post, swap, toast } from "./dom.js";
import { plain } from "./mrkdwn.js";

/** `app` has state, names and home (whether the home tab is open). */
export class Views {
  constructor(app) {
    this.app = app;
    this.modal = new Surface(app, "modal");
    this.page = new Surface(app, "home");
    this.dialog = document.getElementById("modal");
    this.home = document.getElementById("home");
    this.busy = false;
    this.problem = "";
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault(); // it closes when the playground says so
      void this.close();
    });
    this.modal.failed = (message) => {
      this.problem = message;
      this.drawModal();
    };
  }

  draw() {
    this.drawModal();
    this.drawHome();
  }

  drawModal() {
    const view = this.app.state.modal;
    if (!view) {
      this.modal.forget();
      this.problem = "";
      this.print = "";
      if (this.dialog.open) this.dialog.close();
      return;
    }
    const print = JSON.stringify([this.app.state.viewer, view.id, view.hash, view.errors, this.busy, this.problem]);
    if (print === this.print) return;
    const fresh = this.shown !== view.id || !this.dialog.open;
    const wrong = JSON.stringify(view.errors) !== this.wrong && Object.keys(view.errors).length > 0;
    this.print = print;
    this.shown = view.id;
    this.wrong = JSON.stringify(view.errors);
    const context = this.modal.context(view);
    const scrolled = fresh ? 0 : this.dialog.querySelector(".modal-body")?.scrollTop ?? 0;
    swap(this.dialog, el("form", {
      novalidate: true, on: { submit: (event) => {
        event.preventDefault();
        void this.submit(view);
      } },
    },
    el("header", { class: "modal-head" },
      el("h2", { id: "modal-title" }, plain(view.title.text)),
      el("button", { type: "button", class: "icon-button", "aria-label": "Close", data: { key: "modal-x" }, on: { click: () => void this.close() } }, "×")),
    el("div", { class: "modal-body", tabindex: "-1" }, blocks(view.blocks, context)),
    this.problem && el("p", { class: "input-error", role: "alert" }, this.problem),
    el("div", { class: "dialog-buttons" },
      el("button", { type: "button", class: "button", data: { key: "modal-close" }, on: { click: () => void this.close() } }, plain(view.close?.text ?? (view.submit ? "Cancel" : "Close"))),
      view.submit && el("button", { type: "submit", class: `button primary ${this.busy ? "busy" : ""}`, disabled: this.busy, data: { key: "modal-submit" } }, plain(view.submit.text)))));
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.querySelector(".modal-body").scrollTop = scrolled;
    if (wrong) this.dialog.querySelector(".wrong input, .wrong select, .wrong textarea")?.focus();
    else if (fresh) (this.dialog.querySelector("[data-first]") ?? this.dialog.querySelector(".modal-body input, .modal-body select, .modal-body textarea, .modal-body button"))?.focus();
    else if (!this.dialog.contains(document.activeElement)) this.dialog.querySelector(".modal-body").focus();
  }

  drawHome() {
    const view = this.app.state.home;
    this.home.hidden = !this.app.home;
    if (!this.app.home) return;
    const print = JSON.stringify([this.app.state.viewer, view?.id, view?.hash]);
    if (print === this.homePrint) return;
    this.homePrint = print;
    swap(this.home, view
      ? el("div", { class: "card home" }, blocks(view.blocks, this.page.context(view)))
      : el("p", { class: "empty" }, `${this.app.state.bot.name} has put nothing here yet.`));
  }

  async submit(view) {
    if (this.busy || !view.submit) return;
    await this.during(() => post("playground/view/submit", { user: this.app.state.viewer, view: view.id, values: this.modal.values() }));
  }

  async close() {
    const view = this.app.state.modal;
    if (view) await this.during(() => post("playground/view/close", { user: this.app.state.viewer, view: view.id }));
  }

  async during(act) {
    this.busy = true;
    this.problem = "";
    this.drawModal();
    try {
      await act();
    } catch (error) {
      this.problem = error.message;
    } finally {
      this.busy = false;
      this.drawModal();
    }
  }
}

/** One view's inputs: what stands in them, also what the bot was not told yet, over every change of the view. */
class Surface {
  constructor(app, kind) {
    this.app = app;
    this.kind = kind;
    this.failed = (message) => toast(message);
    this.forget();
  }

  forget() {
    this.id = null;
    this.typed = new Map(); // "block/action" -> {block, item, value}
  }

  /** The context that blocks are drawn with. What was typed stays where the same input of the same kind still is. */
  context(view) {
    if (this.id !== view.id) this.forget();
    this.id = view.id;
    this.view = view;
    const inputs = new Map();
    for (const block of view.blocks) {
      for (const item of [block.element, block.accessory, ...(block.elements ?? [])]) {
        if (item?.action_id) inputs.set(key(block, item), item);
      }
    }
    for (const [name, held] of this.typed) {
      const item = inputs.get(name);
      const offered = item?.options ?? item?.option_groups?.flatMap((group) => group.options);
      const gone = offered && [held.value].flat().some((value) => value && !offered.some((option) => option.value === value));
      if (item?.type !== held.item.type || gone) this.typed.delete(name);
    }
    const form = {
      errors: view.errors,
      get: (block, item) => (this.typed.has(key(block, item)) ? this.typed.get(key(block, item)).value : held(view, block, item)),
      set: (block, item, value) => this.typed.set(key(block, item), { block, item, value }),
      tell: (block, item) => this.act(item, block.block_id, { value: form.get(block, item) }),
      search: async (block, item, query) => (await post("playground/view/options", {
        user: this.app.state.viewer, view: view.id, action_id: item.action_id, query,
      })).options,
    };
    return {
      names: this.app.names, people: this.app.state.people, form,
      act: (item, blockId, { quiet = false } = {}) => this.act(item, blockId, { value: item.value ?? null, quiet }),
    };
  }

  /** What was typed, as the playground takes it. */
  values() {
    return [...this.typed.values()].map(({ block, item, value }) => ({ block_id: block.block_id, action_id: item.action_id, value }));
  }

  async act(item, blockId, { value, quiet = false }) {
    try {
      await post("playground/view/act", {
        user: this.app.state.viewer, view: this.view.id, block_id: blockId, action_id: item.action_id, value, values: this.values(),
      });
    } catch (error) {
      if (!quiet) this.failed(error.message);
    }
  }
}

function key(block, item) {
  return `${block.block_id}/${item.action_id}`;
}

/** What Slack knows of an input: in the form in which `set` takes it. */
function held(view, block, item) {
  const known = view.values[block.block_id]?.[item.action_id] ?? {};
  const option = known.selected_option;
  if (item.type === "external_select") return option ? { text: option.text.text, value: option.value } : null;
  if (option !== undefined) return option?.value ?? null;
  if (known.selected_options) return known.selected_options.map((each) => each.value);
  return known.value ?? known.selected_user ?? known.selected_date ?? known.selected_time ?? null;
}

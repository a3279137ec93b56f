// The inputs of modals and of the home tab: https://docs.slack.dev/reference/block-kit/block-elements
//
// `context.form` holds what stands in them: get(block, item), set(block, item, value), tell(block, item) when the bot
// is to hear of a choice, and search(block, item, query), which gives the options that the bot offers. A value is a
// text, a list of texts, or for an external select {text, value}; null is empty.

import { el } from "./dom.js";
import { mrkdwn, plain } from "./mrkdwn.js";

const TYPING = 180; // milliseconds without a key until the bot is asked
const QUERY_LENGTH = 3; // letters before Slack asks what a menu offers, unless the menu says another number
const TEXTS = { plain_text_input: "text", email_text_input: "email", url_text_input: "url", number_input: "text",
  datepicker: "date", timepicker: "time" };
const CHOICES = ["checkboxes", "radio_buttons"];

/** An input block: label, input, hint, and what is wrong with it. */
export function inputBlock(block, context) {
  const { element: item } = block;
  const id = `input-${block.block_id}`;
  const error = context.form.errors[block.block_id];
  const about = [block.hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const group = CHOICES.includes(item.type);
  const label = [plain(block.label.text), block.optional && el("span", { class: "optional" }, " (optional)")];
  const named = { id, about, invalid: Boolean(error), required: !block.optional };
  return el(group ? "fieldset" : "div", { class: `block input ${error ? "wrong" : ""}`, "aria-describedby": group ? about || null : null },
    el(group ? "legend" : "label", group ? {} : { for: id }, label),
    field(item, block, context, named) ?? el("p", { class: "unknown" }, `An input of type “${item.type}” is not shown here.`),
    block.hint && el("p", { class: "input-hint", id: `${id}-hint` }, plain(block.hint.text)),
    error && el("p", { class: "input-error", id: `${id}-error` }, error));
}

/** One menu or input; undefined for a kind that is not known here. `named`: {id, about, invalid, required}. */
export function field(item, block, context, named = { id: null, about: "", invalid: false, required: false }) {
  const props = {
    id: named.id, "aria-describedby": named.about || null, "aria-invalid": named.invalid ? "true" : null,
    "aria-required": named.required ? "true" : null, "aria-label": named.id ? null : item.placeholder?.text ?? "Choose",
    data: { key: `${block.block_id}/${item.action_id}`, action: item.action_id, ...(item.focus_on_load && { first: "true" }) },
  };
  if (item.type in TEXTS) return textInput(item, block, context, props);
  if (item.type === "static_select" || item.type === "overflow") return menu(item, block, context, props, item.options ?? item.option_groups.flatMap((group) => group.options));
  if (item.type === "users_select") return menu(item, block, context, props, context.people.map((person) => ({ text: { text: person.real_name }, value: person.id })));
  if (item.type === "external_select") return searched(item, block, context, props);
  if (CHOICES.includes(item.type)) return choices(item, block, context, props);
  return undefined;
}

/** Whether the bot is told of a choice at once: in an input block only where the block says so. */
function tells(block) {
  return block.type !== "input" || Boolean(block.dispatch_action);
}

function textInput(item, block, context, props) {
  const { form } = context;
  const on = item.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const node = el(item.multiline ? "textarea" : "input", {
    ...props, type: item.multiline ? null : TEXTS[item.type], rows: item.multiline ? 3 : null,
    placeholder: item.placeholder?.text, maxlength: item.max_length ?? 3000, value: form.get(block, item) ?? "",
    autocomplete: "off",
  });
  let timer;
  const tell = () => void form.tell(block, item);
  node.addEventListener("input", () => {
    form.set(block, item, node.value || null);
    clearTimeout(timer);
    if (tells(block) && (on.includes("on_character_entered") || ["date", "time"].includes(node.type))) timer = setTimeout(tell, TYPING);
  });
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || item.multiline || !tells(block) || !on.includes("on_enter_pressed")) return;
    event.preventDefault();
    tell();
  });
  return node;
}

function menu(item, block, context, props, options) {
  const { form } = context;
  const held = form.get(block, item);
  const empty = el("option", { value: "" }, item.placeholder?.text ?? "Choose…");
  const node = el("select", props, empty, options.map((option) => el("option", { value: option.value }, option.text.text)));
  node.value = options.some((option) => option.value === held) ? held : "";
  node.addEventListener("change", () => {
    form.set(block, item, node.value || null);
    if (node.value && tells(block)) void form.tell(block, item);
  });
  return node;
}

function choices(item, block, context, props) {
  const { form } = context;
  const many = item.type === "checkboxes";
  const held = form.get(block, item) ?? [];
  return el("div", { class: "choices", id: props.id }, item.options.map((option) => {
    const node = el("input", {
      type: many ? "checkbox" : "radio", name: `${block.block_id}/${item.action_id}`, value: option.value,
      "aria-invalid": props["aria-invalid"], data: { key: `${props.data.key}/${option.value}`, action: item.action_id },
    });
    node.checked = many ? held.includes(option.value) : held === option.value;
    node.addEventListener("change", () => {
      const all = [...node.closest(".choices").querySelectorAll("input:checked")].map((one) => one.value);
      form.set(block, item, many ? all : all[0] ?? null);
      if (tells(block)) void form.tell(block, item);
    });
    return el("label", { class: "choice" }, node, el("span", {}, words(option.text, context),
      option.description && el("span", { class: "input-hint" }, words(option.description, context))));
  }));
}

function words(object, context) {
  return object.type === "mrkdwn" ? mrkdwn(object.text, context.names) : plain(object.text);
}

/** A menu that asks the bot while somebody types. What is typed is only a search: without a choice it goes away. */
function searched(item, block, context, props) {
  const { form } = context;
  const listId = `options-${block.block_id}`;
  const least = item.min_query_length ?? QUERY_LENGTH;
  const list = el("ul", { class: "options", id: listId, role: "listbox", "aria-label": "Found", hidden: true });
  const node = el("input", {
    ...props, type: "text", role: "combobox", "aria-expanded": "false", "aria-controls": listId, "aria-autocomplete": "list",
    placeholder: item.placeholder?.text ?? "Search…", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    value: form.get(block, item)?.text ?? "",
  });
  let timer;
  let asked = 0;
  let found = [];
  let at = -1;

  const close = () => {
    asked += 1; // an answer that is still under way comes too late
    clearTimeout(timer);
    found = [];
    list.hidden = true;
    node.setAttribute("aria-expanded", "false");
    node.removeAttribute("aria-activedescendant");
  };
  const choose = (option) => {
    const before = form.get(block, item)?.value;
    form.set(block, item, { text: option.text.text, value: option.value });
    node.value = option.text.text;
    close();
    if (before !== option.value && tells(block)) void form.tell(block, item);
  };
  const point = (index) => {
    at = index;
    [...list.children].forEach((one, place) => {
      one.setAttribute("aria-selected", String(place === index));
      if (place === index) one.scrollIntoView({ block: "nearest" });
    });
    if (index >= 0) node.setAttribute("aria-activedescendant", `${listId}-${index}`);
  };
  const show = (options, note) => {
    found = options;
    list.replaceChildren(...options.map((option, index) => {
      const line = el("li", { role: "option", id: `${listId}-${index}`, "aria-selected": "false" },
        el("span", {}, plain(option.text.text)), option.description && el("span", { class: "input-hint" }, plain(option.description.text)));
      // mousedown, not click: the input must not lose the focus first
      line.addEventListener("mousedown", (event) => {
        event.preventDefault();
        choose(option);
      });
      return line;
    }), ...(note ? [el("li", { class: "note-line", role: "status" }, note)] : []));
    list.hidden = false;
    node.setAttribute("aria-expanded", "true");
    point(options.length && node.value ? 0 : -1);
  };
  const search = async (query) => {
    const mine = (asked += 1);
    let options = [];
    let note = "";
    try {
      options = await form.search(block, item, query);
      note = options.length ? "" : "Nothing found";
    } catch (error) {
      note = error.message;
    }
    if (mine === asked && document.activeElement === node) show(options, note);
  };
  const ask = (query) => {
    clearTimeout(timer);
    if (query.length < least) close();
    else timer = setTimeout(() => void search(query), TYPING);
  };

  node.addEventListener("input", () => {
    if (!node.value) form.set(block, item, null);
    ask(node.value.trim());
  });
  node.addEventListener("focus", () => {
    node.select();
    ask("");
  });
  node.addEventListener("blur", () => {
    close();
    node.value = form.get(block, item)?.text ?? "";
  });
  node.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault(); // of the list only: the modal stays
      event.stopPropagation();
      close();
    } else if (event.key === "Enter") {
      event.preventDefault(); // while somebody searches, it sends no form
      if (found[at]) choose(found[at]);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && list.hidden) {
      event.preventDefault();
      ask("");
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && found.length) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      point((at + step + found.length + (at < 0 && step < 0 ? 1 : 0)) % found.length);
    }
  });
  return el("div", { class: "searched" }, node, list);
}

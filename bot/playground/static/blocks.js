// Block Kit as the reader sees it: https://docs.slack.dev/reference/block-kit/blocks

import { el } from "./dom.js";
import { field, inputBlock } from "./inputs.js";
import { link, mrkdwn, plain } from "./mrkdwn.js";

/** Blocks as a list of elements. `context`: {names, act(element, blockId)}; `act` is called for every button or choice that is
 *  confirmed and gives back a promise. Views have a `form` as well (see inputs.js). */
export function blocks(list, context) {
  return list.map((block) => (KINDS[block.type] ?? unknown)(block, context));
}

/** A text object: {type: "mrkdwn" | "plain_text", text}. */
export function textOf(object, context) {
  if (!object) return "";
  return object.type === "mrkdwn" ? mrkdwn(object.text, context.names) : plain(object.text);
}

const KINDS = {
  section(block, context) {
    return el("div", { class: "block section" },
      el("div", { class: "section-body" },
        block.text && el("div", { class: "text" }, textOf(block.text, context)),
        block.fields && el("div", { class: "fields" },
          block.fields.map((field) => el("div", { class: "field" }, textOf(field, context))))),
      block.accessory && el("div", { class: "accessory" }, element(block.accessory, block, context)));
  },
  context(block, context) {
    return el("div", { class: "block context" },
      block.elements.map((item) => item.type === "image"
        ? el("img", { src: item.image_url, alt: item.alt_text, class: "context-image" })
        : el("span", { class: "context-item" }, textOf(item, context))));
  },
  actions(block, context) {
    return el("div", { class: "block actions", role: "group", "aria-label": "Actions" },
      block.elements.map((item) => element(item, block, context)));
  },
  input(block, context) {
    return context.form ? inputBlock(block, context) : unknown(block);
  },
  header(block, context) {
    return el("h3", { class: "block header" }, textOf(block.text, context));
  },
  divider() {
    return el("hr", { class: "block divider" });
  },
  image(block, context) {
    return el("figure", { class: "block image" },
      block.title && el("figcaption", {}, textOf(block.title, context)),
      el("img", { src: block.image_url, alt: block.alt_text ?? "" }));
  },
  markdown(block) {
    return el("div", { class: "block section text" }, plain(block.text));
  },
};

function unknown(block) {
  return el("p", { class: "block unknown" }, `A block of type “${block.type}” is not shown here.`);
}

function element(item, block, context) {
  if (item.type === "button") return button(item, block, context);
  if (item.type === "image") return el("img", { src: item.image_url, alt: item.alt_text ?? "", class: "accessory-image" });
  if (context.form) return field(item, block, context) ?? unknown(item);
  if (item.type === "static_select" || item.type === "overflow") return choice(item, block, context);
  return unknown(item);
}

function button(item, block, context) {
  const kind = `button ${item.style ?? ""}`;
  const act = (node) => run(node, item, () => context.act({ ...item }, block.block_id));
  if (item.url) {
    const anchor = link(item.url, item.text.text);
    if (anchor.nodeType !== Node.ELEMENT_NODE) return anchor;
    anchor.className = kind;
    // Slack tells the app of a click on a link button too; the page opens whatever the app says to it.
    if (item.action_id) anchor.addEventListener("click", () => void context.act({ ...item }, block.block_id, { quiet: true }));
    return anchor;
  }
  const node = el("button", {
    type: "button", class: kind, "aria-label": item.accessibility_label,
    data: { key: `${block.block_id ?? ""}/${item.action_id}`, action: item.action_id ?? "" },
  }, textOf(item.text, context));
  node.addEventListener("click", () => void act(node));
  return node;
}

function choice(item, block, context) {
  const options = item.options ?? (item.option_groups ?? []).flatMap((group) => group.options);
  const node = el("select", { class: "button", "aria-label": item.placeholder?.text ?? "Choose", data: { action: item.action_id ?? "" } },
    el("option", { value: "" }, item.placeholder?.text ?? "More…"),
    options.map((option, index) => el("option", { value: String(index) }, option.text.text)));
  if (item.initial_option) {
    node.value = String(options.findIndex((option) => option.value === item.initial_option.value));
  }
  node.addEventListener("change", () => {
    const option = options[Number(node.value)];
    if (!option) return;
    void run(node, item, () => context.act({ ...item, value: option.value }, block.block_id));
  });
  return node;
}

async function run(node, item, act) {
  if (item.confirm && !(await confirmed(item.confirm))) return;
  node.disabled = true;
  node.classList.add("busy");
  try {
    await act();
  } finally {
    node.disabled = false;
    node.classList.remove("busy");
  }
}

/** Asks by a confirmation object {title, text, confirm, deny, style}; true when the person agrees. */
export function confirmed(dialog) {
  const names = { person: () => undefined, room: () => undefined, group: () => undefined };
  const node = el("dialog", { class: "dialog", "aria-labelledby": "dialog-title" },
    el("form", { method: "dialog" },
      el("h2", { id: "dialog-title" }, textOf(dialog.title, { names })),
      el("p", {}, textOf(dialog.text, { names })),
      el("div", { class: "dialog-buttons" },
        el("button", { value: "no", class: "button" }, dialog.deny?.text ?? "Cancel"),
        el("button", { value: "yes", class: `button ${dialog.style === "danger" ? "danger" : "primary"}` },
          dialog.confirm?.text ?? "Yes"))));
  document.body.append(node);
  node.showModal();
  return new Promise((resolve) => {
    node.addEventListener("close", () => {
      node.remove();
      resolve(node.returnValue === "yes");
    });
  });
}

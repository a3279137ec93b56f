// Slack's emoji codes. Those that tell a state are drawn here, so they look the same on machines without an emoji
// font; the others are the characters themselves; a code nobody knows stays readable as :code:.

import { el, picture } from "./dom.js";

const circle = (tone) => [["circle", { cx: 10, cy: 10, r: 8, class: `fill-${tone}` }]];
const badge = (tone, path) => [
  ["rect", { x: 1.5, y: 1.5, width: 17, height: 17, rx: 4.5, class: `fill-${tone}` }],
  ["path", { d: path, class: "stroke-paper" }],
];
const CHECK = "M5.6 10.4l3 3 5.8-6.6";
const CROSS = "M6 6l8 8M14 6l-8 8";

const DRAWN = {
  large_green_circle: ["🟢", circle("green")],
  large_yellow_circle: ["🟡", circle("yellow")],
  large_orange_circle: ["🟠", circle("orange")],
  large_blue_circle: ["🔵", circle("blue")],
  large_purple_circle: ["🟣", circle("purple")],
  red_circle: ["🔴", circle("red")],
  white_circle: ["⚪", [["circle", { cx: 10, cy: 10, r: 7.2, class: "ring-muted" }]]],
  black_circle: ["⚫", circle("muted")],
  white_check_mark: ["✅", badge("green", CHECK)],
  heavy_check_mark: ["✔️", [["path", { d: CHECK, class: "stroke-green" }]]],
  x: ["❌", [["path", { d: CROSS, class: "stroke-red" }]]],
  no_entry: ["⛔", [["circle", { cx: 10, cy: 10, r: 8, class: "fill-red" }], ["path", { d: "M6 10h8", class: "stroke-paper" }]]],
  no_entry_sign: ["🚫", [["circle", { cx: 10, cy: 10, r: 7, class: "stroke-red" }], ["path", { d: "M5 5l10 10", class: "stroke-red" }]]],
  hourglass: ["⌛", [["path", { d: "M5 2h10v2.5L11.2 10 15 15.5V18H5v-2.5L8.8 10 5 4.5z", class: "fill-yellow" }]]],
  hourglass_flowing_sand: ["⏳", [["path", { d: "M5 2h10v2.5L11.2 10 15 15.5V18H5v-2.5L8.8 10 5 4.5z", class: "fill-yellow" }]]],
  lock: ["🔒", [
    ["rect", { x: 3.5, y: 8.5, width: 13, height: 10, rx: 2, class: "fill-yellow" }],
    ["path", { d: "M6.5 8.5V6a3.5 3.5 0 0 1 7 0v2.5", class: "stroke-muted" }],
  ]],
  unlock: ["🔓", [
    ["rect", { x: 3.5, y: 8.5, width: 13, height: 10, rx: 2, class: "fill-yellow" }],
    ["path", { d: "M6.5 8.5V5a3.5 3.5 0 0 1 6.6-1.5", class: "stroke-muted" }],
  ]],
  warning: ["⚠️", [
    ["path", { d: "M10 2l8.5 15.5h-17z", class: "fill-yellow join" }],
    ["path", { d: "M10 8v4.2M10 14.9v.1", class: "stroke-ink" }],
  ]],
  rewind: ["⏪", badge("blue", "M15 6v8l-5-4zM9.5 6v8l-5-4z")],
  fast_forward: ["⏩", badge("blue", "M5 6v8l5-4zM10.5 6v8l5-4z")],
  twisted_rightwards_arrows: ["🔀", badge("blue", "M4 6.5h2.5l5 7H16M4 13.5h2.5l5-7H16M14 4.5l2 2-2 2M14 11.5l2 2-2 2")],
  desktop_computer: ["🖥️", [
    ["rect", { x: 2, y: 3.5, width: 16, height: 10.5, rx: 1.5, class: "stroke-muted" }],
    ["path", { d: "M10 14v3M6.5 17h7", class: "stroke-muted" }],
  ]],
  thinking_face: ["🤔", [
    ["circle", { cx: 10, cy: 10, r: 8, class: "fill-yellow" }],
    ["path", { d: "M7 8v.4M13 8v.4M5.8 5.6l2.4-.8M7.4 13.6l5-1", class: "stroke-ink" }],
  ]],
  grey_question: ["❔", [["path", { d: "M6.8 7a3.2 3.2 0 1 1 4.7 2.8c-1 .6-1.5 1.2-1.5 2.4M10 15.6v.2", class: "stroke-muted" }]]],
  boom: ["💥", [["path", { d: "M10 1l1.9 5 4.5-2.6-1.9 4.8 5 1.8-5 1.8 1.9 4.8-4.5-2.6L10 19l-1.9-5-4.5 2.6 1.9-4.8-5-1.8 5-1.8-1.9-4.8 4.5 2.6z", class: "fill-orange" }]]],
  rocket: ["🚀", [
    ["path", { d: "M6 13c-2 .5-3 2-3.5 4.5 2.5-.5 4-1.5 4.5-3.5z", class: "fill-orange" }],
    ["path", { d: "M18 2c-5 0-8.5 2.5-10.5 6L4 8.5 2.5 11.5l3.5.5 2 2 .5 3.5 3-1.5.5-3.5c3.5-2 6-5.5 6-10.5z", class: "fill-blue" }],
    ["circle", { cx: 12.5, cy: 7.5, r: 1.8, class: "fill-paper" }],
  ]],
};

const CHARACTERS = {
  arrow_right: "→", arrow_up: "↑", arrow_down: "↓", arrow_left: "←", arrows_counterclockwise: "🔄", leftwards_arrow_with_hook: "↩",
  stop_button: "⏹", double_vertical_bar: "⏸", stopwatch: "⏱", alarm_clock: "⏰", clock3: "🕒",
  calendar: "📅", spiral_calendar_pad: "🗓", snowflake: "❄", ice_cube: "🧊", key: "🔑", link: "🔗", mag: "🔍", bulb: "💡",
  information_source: "ℹ", question: "❓", exclamation: "❗", bangbang: "‼", eyes: "👀", wave: "👋", tada: "🎉", sparkles: "✨",
  fire: "🔥", ship: "🚢", package: "📦", hammer_and_wrench: "🛠", wrench: "🔧", gear: "⚙", robot_face: "🤖", bell: "🔔", mega: "📣",
  speech_balloon: "💬", memo: "📝", books: "📚", bar_chart: "📊", chart_with_upwards_trend: "📈", "+1": "👍", thumbsup: "👍", "-1": "👎",
  thumbsdown: "👎", ok_hand: "👌", raised_hand: "✋", octagonal_sign: "🛑", construction: "🚧", zap: "⚡", heavy_minus_sign: "➖",
  smile: "😄", slightly_smiling_face: "🙂", heart: "❤", point_right: "👉", clipboard: "📋", recycle: "♻",
};

/** The picture for a code without its colons. Copying gives the character; a screen reader says the code in words. */
export function emoji(code) {
  const words = code.replaceAll("_", " ");
  const drawn = DRAWN[code];
  if (drawn) {
    return el("span", { class: "emoji", role: "img", "aria-label": words, title: `:${code}:` },
      picture(drawn[1], "emoji-picture"), el("span", { class: "emoji-text", "aria-hidden": "true" }, drawn[0]));
  }
  const character = CHARACTERS[code];
  if (character) return el("span", { class: "emoji", role: "img", "aria-label": words, title: `:${code}:` }, character);
  return document.createTextNode(`:${code}:`);
}

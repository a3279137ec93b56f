// What a terminal would show: text with escape sequences goes in, rows of styled text come out.
//
// The state lives on from piece to piece, wherever they are cut. \r goes back to the start of the row, so that progress
// bars overwrite themselves; rows that are done are never changed again. Sequences that do something else are dropped.

const WIDEST = 4000; // characters of a row, after which it goes on in the next
const HELD = 4096; // characters of a sequence that is waited for; what is longer is none
const PLAIN = /[^\x00-\x08\x0a-\x1f\x7f-\x9f]+/y;
const CSI = /\x1b\[([0-?]*)[ -/]*([@-~])/y;
const STRING = /\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x9c|\x1b\\)/y;
const SHORT = /\x1b[ -/]*[0-Z\\`-~]/y;
const BEGUN = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\x9c]*\x1b?|[ -/]*)$/y; // may go on in the next piece
const BROKEN = /\x1b(?:\[[0-?]*[ -/]*|[\]PX^_]?|[ -/]*)/y; // what is dropped of a sequence that is none

export class Screen {
  constructor() {
    this.done = []; // rows for whoever shows them, who empties it
    this.row = { runs: [], length: 0, more: false }; // the one that is written now
    this.column = 0;
    this.pen = blank();
    this.style = null;
    this.styles = new Map();
    this.held = "";
  }

  feed(piece) {
    const text = this.held + piece;
    this.held = "";
    let at = 0;
    const take = (pattern) => {
      pattern.lastIndex = at;
      const found = pattern.exec(text);
      if (found) at = pattern.lastIndex;
      return found;
    };
    while (at < text.length) {
      const start = at;
      if (take(PLAIN)) {
        this.write(text.slice(start, at));
        continue;
      }
      const code = text.charCodeAt(at);
      if (code !== 0x1b) {
        at += 1;
        this.control(code);
        continue;
      }
      const sequence = take(CSI);
      if (sequence) this.act(sequence[2], sequence[1]);
      else if (!take(STRING) && !take(SHORT)) {
        if (text.length - at <= HELD && take(BEGUN)) this.held = text.slice(start);
        else take(BROKEN);
      }
    }
  }

  control(code) {
    if (code === 0x0a) this.end(false);
    else if (code === 0x0d) this.column = 0;
    else if (code === 0x08) this.column = Math.max(0, this.column - 1);
  }

  end(more) {
    this.done.push(this.row);
    this.row = { runs: [], length: 0, more };
    this.column = 0;
  }

  write(text) {
    while (text) {
      if (this.column >= WIDEST) this.end(true);
      const part = text.length > WIDEST - this.column ? text.slice(0, WIDEST - this.column) : text;
      text = text.slice(part.length);
      this.put(part);
    }
  }

  put(text) {
    const row = this.row;
    if (this.column > row.length) {
      row.runs.push({ text: " ".repeat(this.column - row.length), style: null });
      row.length = this.column;
    }
    const after = this.column + text.length;
    if (this.column < row.length) {
      const rest = cut(row.runs, after, row.length);
      row.runs = cut(row.runs, 0, this.column);
      this.append(text);
      row.runs.push(...rest);
      row.length = Math.max(row.length, after);
    } else {
      this.append(text);
      row.length = after;
    }
    this.column = after;
  }

  append(text) {
    const runs = this.row.runs, last = runs[runs.length - 1];
    if (last && last.style === this.style) last.text += text;
    else runs.push({ text, style: this.style });
  }

  act(what, parameters) {
    if (what === "m") {
      if (!/^[<-?]/.test(parameters)) this.paint(parameters);
      return;
    }
    const row = this.row, count = Math.min(parseInt(parameters, 10) || 1, WIDEST);
    if (what === "K") {
      const how = parseInt(parameters, 10) || 0;
      const kept = how === 0 ? cut(row.runs, 0, this.column) : [];
      const rest = how === 1 && this.column < row.length ? cut(row.runs, this.column, row.length) : [];
      if (rest.length) kept.push({ text: " ".repeat(this.column), style: null });
      row.runs = [...kept, ...rest];
      row.length = row.runs.reduce((sum, run) => sum + run.text.length, 0);
    } else if (what === "G") this.column = Math.min(count, WIDEST) - 1;
    else if (what === "C") this.column = Math.min(this.column + count, WIDEST);
    else if (what === "D") this.column = Math.max(0, this.column - count);
  }

  paint(parameters) {
    const pen = this.pen, all = parameters.split(";");
    for (let at = 0; at < all.length; at += 1) {
      const sub = all[at].split(":"), code = parseInt(sub[0], 10) || 0;
      if (code === 0) Object.assign(pen, blank());
      else if (code === 1) pen.bold = true;
      else if (code === 2) pen.faint = true;
      else if (code === 3) pen.italic = true;
      else if (code === 4) pen.underline = sub[1] !== "0";
      else if (code === 7) pen.inverse = true;
      else if (code === 8) pen.concealed = true;
      else if (code === 9) pen.strike = true;
      else if (code === 21) pen.underline = true;
      else if (code === 22) pen.bold = pen.faint = false;
      else if (code === 23) pen.italic = false;
      else if (code === 24) pen.underline = false;
      else if (code === 27) pen.inverse = false;
      else if (code === 28) pen.concealed = false;
      else if (code === 29) pen.strike = false;
      else if (code >= 30 && code <= 37) pen.front = code - 30;
      else if (code >= 40 && code <= 47) pen.back = code - 40;
      else if (code >= 90 && code <= 97) pen.front = code - 82;
      else if (code >= 100 && code <= 107) pen.back = code - 92;
      else if (code === 39) pen.front = null;
      else if (code === 49) pen.back = null;
      else if (code === 38 || code === 48) {
        let given = sub.slice(1);
        if (!given.length) {
          const length = all[at + 1] === "2" ? 4 : all[at + 1] === "5" ? 2 : 1;
          given = all.slice(at + 1, at + 1 + length);
          at += length;
        } else if (given[0] === "2" && given.length > 4) given.splice(1, 1); // the colour space, which nobody fills in
        const colour = chosen(given);
        if (colour !== null) pen[code === 38 ? "front" : "back"] = colour;
      }
    }
    this.style = this.known(pen);
  }

  known(pen) {
    const key = Object.values(pen).join();
    if (!this.styles.has(key)) this.styles.set(key, styled(pen));
    return this.styles.get(key);
  }
}

function blank() {
  return {
    front: null, back: null, bold: false, faint: false, italic: false, underline: false, strike: false, inverse: false, concealed: false,
  };
}

// The part of a row between two columns.
function cut(runs, from, to) {
  const kept = [];
  let start = 0;
  for (const run of runs) {
    const end = start + run.text.length;
    if (end > from && start < to) {
      const inside = start >= from && end <= to;
      kept.push(inside ? run : { text: run.text.slice(Math.max(0, from - start), to - start), style: run.style });
    }
    start = end;
  }
  return kept;
}

// One of the sixteen colours by its number, another one as CSS; null for what is none.
function chosen(given) {
  const [kind, ...numbers] = given.map((number) => parseInt(number, 10) || 0);
  if (numbers.some((number) => number > 255)) return null;
  if (kind === 2 && numbers.length >= 3) return `rgb(${numbers.slice(0, 3).join(" ")})`;
  if (kind !== 5 || !numbers.length) return null;
  const number = numbers[0];
  if (number < 16) return number;
  if (number >= 232) {
    const grey = (number - 232) * 10 + 8;
    return `rgb(${grey} ${grey} ${grey})`;
  }
  const level = (step) => (step ? step * 40 + 55 : 0), cube = number - 16;
  return `rgb(${level(Math.floor(cube / 36))} ${level(Math.floor(cube / 6) % 6)} ${level(cube % 6)})`;
}

// Classes for what the stylesheet knows, CSS for other colours; null where there is nothing to it.
function styled(pen) {
  let { front, back } = pen;
  const classes = ["bold", "faint", "italic", "underline", "strike", "concealed"].filter((name) => pen[name]);
  if (pen.inverse) {
    if (front === null && back === null) classes.push("inverse");
    else [front, back] = [back === null ? "var(--paper)" : back, front === null ? "var(--ink)" : front];
  }
  const style = { classes: "", color: "", background: "" };
  if (typeof front === "number") classes.push(`f${front}`);
  else if (front !== null) style.color = front;
  if (typeof back === "number") {
    classes.push(`g${back}`);
    if (front === null && back !== 0 && back !== 8) classes.push("on-light");
  } else if (back !== null) style.background = back;
  style.classes = classes.join(" ");
  return style.classes || style.color || style.background ? style : null;
}

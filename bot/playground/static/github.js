// The simulated GitHub beside the chat: what a deployer, a build server and a developer do there.

import { ago, el, post, swap, toast } from "./dom.js";
import { link } from "./mrkdwn.js";

const REPORTS = [["queued", "queued"], ["in_progress", "in progress"], ["success", "success"], ["failure", "failure"]];
const FOLDED = 3; // how many finished deployments are shown before "older ones"

/** The right-hand panel. `app` has state and redraw(). */
export class GitHub {
  constructor(app) {
    this.app = app;
    this.repository = null;
    this.opened = new Map(); // key -> open?, as the reader left it
    this.all = false;
    this.newest = null; // the id of the newest deployment that was drawn
    this.messages = new Map(); // branch -> what is being typed as the next commit's message
  }

  draw() {
    const { repositories } = this.app.state.github;
    this.follow(repositories);
    const current = repositories.find((item) => item.name === this.repository) ?? repositories[0];
    if (!current) {
      swap(document.getElementById("github-body"), el("p", { class: "empty" }, "No repository yet."));
      return;
    }
    this.repository = current.name;
    swap(document.getElementById("repositories"), repositories.map((item) => el("button", {
      type: "button", role: "tab", "aria-selected": String(item === current), "aria-controls": "github-body", class: "tab",
      tabindex: item === current ? "0" : "-1", data: { key: `repository-${item.name}`, repository: item.name },
      on: { click: () => this.choose(item.name), keydown: (event) => this.arrows(event, repositories) },
    }, item.name, this.moving(item) && el("span", { class: "dot busy", title: "a deployment is under way" }))));
    swap(document.getElementById("github-body"), this.deployments(current), this.branches(current), this.webhooks());
  }

  /** A deployment that has just been created is brought into view, whichever repository it is in. */
  follow(repositories) {
    let newest = this.newest ?? 0;
    for (const repository of repositories) {
      for (const { id } of repository.deployments) {
        if (id <= newest) continue;
        newest = id;
        if (this.newest !== null) this.repository = repository.name;
      }
    }
    this.newest = newest;
  }

  choose(name) {
    this.repository = name;
    this.all = false;
    this.draw();
  }

  arrows(event, repositories) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = repositories.findIndex((item) => item.name === this.repository);
    const next = repositories[(at + step + repositories.length) % repositories.length].name;
    this.choose(next);
    document.querySelector(`[data-repository="${CSS.escape(next)}"]`)?.focus();
  }

  moving(repository) {
    return repository.deployments.some((item) => unfinished(item.state));
  }

  deployments(repository) {
    const list = repository.deployments;
    const running = list.filter((item) => unfinished(item.state));
    const done = list.filter((item) => !unfinished(item.state));
    const shown = this.all ? done : done.slice(0, FOLDED);
    return el("section", { class: "panel", "aria-labelledby": "deployments-title" },
      el("h3", { id: "deployments-title" }, "Deployments"),
      !list.length && el("p", { class: "empty" }, "Nothing deployed yet. A deployment shows up here as soon as shipbot creates one; "
        + "then you play the deployer and report how it goes."),
      el("ul", { class: "plain" }, [...running, ...shown].map((item) => this.deployment(repository, item, running.includes(item)))),
      done.length > shown.length && el("button", { type: "button", class: "quiet", data: { key: "all" }, on: { click: () => {
        this.all = true;
        this.draw();
      } } }, `Show ${done.length - shown.length} older`));
  }

  deployment(repository, item, running) {
    const key = `deployment-${repository.name}-${item.id}`;
    const details = el("details", { class: `deployment ${running ? "running" : ""}`, data: { deployment: String(item.id) } },
      el("summary", { data: { key } },
        el("span", { class: `dot ${tone(item.state)}` }),
        el("span", { class: "deployment-what" }, el("strong", {}, item.environment), " ", el("span", { class: "ref" }, item.ref_name)),
        el("span", { class: `state ${tone(item.state)}` }, item.state.replace("_", " ")),
        el("span", { class: "muted deployment-sub" }, el("code", {}, item.sha.slice(0, 7)), ` · ${item.creator} · ${ago(item.created_at)}`)),
      item.statuses.length > 0 && el("ol", { class: "statuses" }, item.statuses.map((status) => el("li", {},
        el("span", { class: `dot small ${tone(status.state)}` }),
        el("span", {}, el("span", { class: "status-state" }, status.state.replace("_", " ")), status.description && ` — ${status.description}`,
          status.log_url && [" ", link(status.log_url, "log")]),
        el("span", { class: "muted when" }, ago(status.created_at))))),
      el("div", { class: "report", role: "group", "aria-label": `Report on deployment ${item.id}` },
        el("p", { class: "muted" }, "Report as the deployer"),
        REPORTS.map(([state, label]) => el("button", {
          type: "button", class: `button small report-${state}`, data: { key: `${key}-${state}`, report: state },
          on: { click: (event) => void this.send(event, "report", { repository: repository.name, deployment: item.id, state }) },
        }, el("span", { class: `dot small ${tone(state)}` }), label))));
    this.remember(details, key, running);
    return el("li", {}, details);
  }

  branches(repository) {
    return el("section", { class: "panel", "aria-labelledby": "branches-title" },
      el("h3", { id: "branches-title" }, "Branches"),
      el("ul", { class: "plain" }, repository.branches.map((branch) => this.branch(repository, branch))),
      repository.tags.length > 0 && el("p", { class: "muted tags" }, "Tags: ", repository.tags.map((tag, index) =>
        [index > 0 && ", ", el("code", {}, tag.name)])));
  }

  branch(repository, branch) {
    const key = `branch-${repository.name}-${branch.name}`;
    const red = branch.checks.some((check) => check.state === "failure");
    const waiting = branch.checks.some((check) => check.state === "pending");
    const state = !branch.checks.length ? "none" : red ? "failure" : waiting ? "pending" : "success";
    const words = { none: "no checks", failure: "a check is red", pending: "checks are running", success: "all checks are green" }[state];
    const details = el("details", { class: "branch", data: { branch: branch.name } },
      el("summary", { data: { key } },
        el("span", { class: `dot ${tone(state)}`, role: "img", "aria-label": words, title: words }),
        el("span", { class: "branch-name" }, branch.name, branch.name === repository.default_branch && el("span", { class: "you" }, "default")),
        el("code", { class: "sha" }, branch.sha.slice(0, 7)),
        el("span", { class: "muted branch-message" }, branch.message)),
      el("ul", { class: "plain checks" }, branch.checks.map((check) => this.check(repository, branch, check))),
      !branch.checks.length && el("p", { class: "empty" }, "This commit has no checks yet."),
      this.form(`${key}-add`, "Add a check", "Add", (name) => ["check",
        { repository: repository.name, branch: branch.name, name, state: "pending" }]),
      this.form(`${key}-push`, "Push a commit", "Push", (message) => ["push",
        { repository: repository.name, branch: branch.name, message: message || null, author: this.login() }], true));
    this.remember(details, key, false);
    return el("li", {}, details);
  }

  /** Who pushes: whoever one speaks as. */
  login() {
    return this.app.state.people.find((person) => person.id === this.app.state.viewer)?.login;
  }

  /** What GitHub has told the bot lately, and how the bot answered. */
  webhooks() {
    const { deliveries } = this.app.state.github;
    const details = el("details", { class: "webhooks" },
      el("summary", { data: { key: "webhooks" } }, "Webhooks sent to shipbot"),
      !deliveries.length && el("p", { class: "empty" }, "None yet."),
      el("ol", { class: "statuses" }, deliveries.map((each) => el("li", {},
        el("span", { class: `dot small ${each.status_code >= 200 && each.status_code < 300 ? "green" : "red"}` }),
        el("span", {}, each.event, el("span", { class: "muted" }, ` answered ${each.status_code ?? "nothing"}`)),
        el("span", { class: "muted when" }, ago(each.delivered_at))))));
    this.remember(details, "webhooks", false);
    return el("section", { class: "panel" }, details);
  }

  check(repository, branch, check) {
    const set = (state, label) => el("button", {
      type: "button", class: `button small ${check.state === state ? "on" : ""}`, "aria-pressed": String(check.state === state),
      "aria-label": `Turn ${check.name} ${label}`, data: { key: `${branch.name}-${check.name}-${state}`, check: check.name, state },
      on: { click: (event) => void this.send(event, "check", { repository: repository.name, branch: branch.name, name: check.name, state }) },
    }, el("span", { class: `dot small ${tone(state)}` }), label);
    return el("li", { class: "check" }, el("span", { class: "check-name" }, el("span", { class: `dot small ${tone(check.state)}` }), check.name),
      el("span", { class: "check-buttons" }, set("success", "green"), set("failure", "red")));
  }

  form(key, label, verb, build, mayBeEmpty = false) {
    const input = el("input", {
      type: "text", "aria-label": label, placeholder: label, autocomplete: "off", value: this.messages.get(key) ?? "",
      data: { key }, on: { input: () => this.messages.set(key, input.value) },
    });
    return el("form", { class: "mini", on: { submit: (event) => {
      event.preventDefault();
      const text = input.value.trim();
      if (!text && !mayBeEmpty) {
        input.focus();
        return;
      }
      this.messages.delete(key);
      input.value = "";
      void this.send(event, ...build(text));
    } } }, input, el("button", { class: "button small", data: { key: `${key}-button` } }, verb));
  }

  remember(details, key, open) {
    details.open = this.opened.get(key) ?? open;
    details.addEventListener("toggle", () => {
      if (details.isConnected) this.opened.set(key, details.open);
    });
  }

  async send(event, what, body) {
    const button = event.submitter ?? event.currentTarget;
    button?.classList.add("busy");
    try {
      await post(`playground/github/${what}`, body);
    } catch (error) {
      toast(error.message);
    } finally {
      button?.classList.remove("busy");
    }
  }
}

function unfinished(state) {
  return ["new", "pending", "queued", "in_progress", "waiting"].includes(state);
}

function tone(state) {
  return {
    success: "green", failure: "red", error: "red", in_progress: "yellow", pending: "yellow", queued: "blue", new: "blue", waiting: "blue",
  }[state] ?? "grey";
}

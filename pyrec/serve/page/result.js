/* The lists that answer: recommended items beside the history, and behind each item why, and what is like it. */

import { id, post, Refused } from "./api.js";
import { count, showItems } from "./lists.js";
import { capital, explained, paragraph } from "./why.js";

const SIMILAR = 8;
const HISTORY = 15;

const element = (name) => document.getElementById(name);

/** Asks for what `state` is about; `served` is the answer of /health and `names` takes what items are called. */
export class Result {
  #served;
  #names;
  #state;

  constructor(served, names, state) {
    this.#served = served;
    this.#names = names;
    this.#state = state;
  }

  async show(signal) {
    const [found, had] = await Promise.all([this.#recommended(signal), this.#history(signal)]);
    if (signal.aborted) return;
    this.#leaveOut(found.unknown);
    const history = had ?? { items: this.#state.items, order: "as picked" };
    this.#showList(found, history.items);
    this.#showHistory(history);
    element("lists").hidden = false;
    const fallback = found.fallback.filter(Boolean).length;
    const popular = fallback > 0 ? `, ${fallback} of them popular ones` : "";
    element("status").textContent = `${count(found.items.length, "item")} recommended${popular}`;
  }

  get #isUser() {
    return this.#state.mode === "user";
  }

  #itemIds(list) {
    return list.map((raw) => id(raw, this.#served.item_ids));
  }

  get #whom() {
    return this.#isUser
      ? { user: id(this.#state.user, this.#served.user_ids) }
      : { history: this.#itemIds(this.#state.items) };
  }

  async #recommended(signal) {
    const { n, seen, only, never } = this.#state;
    const { user, history } = this.#whom;
    const answer = await post(
      "recommend",
      {
        users: user && [user],
        histories: history && [history],
        n: Math.min(n, this.#served.num_items),
        filter_seen: seen,
        items: only.length > 0 ? this.#itemIds(only) : undefined,
        exclude: never.length > 0 ? this.#itemIds(never) : undefined,
        ignore_unknown: true,
        names: true,
      },
      signal,
    );
    const items = this.#named(answer, 0);
    return { items, scores: answer.scores[0], fallback: answer.is_fallback[0], unknown: answer.unknown };
  }

  async #history(signal) {
    if (!this.#isUser) return null;
    const answer = await post("history", { users: [this.#whom.user], ignore_unknown: true, names: true }, signal);
    return { items: this.#named(answer, 0), order: answer.order === "time" ? "the latest first" : "by id" };
  }

  /** The ids of a list as text; their names are kept. */
  #named(answer, at) {
    const ids = answer.items[at].map(String);
    ids.forEach((raw, k) => answer.names[at][k] !== null && this.#names.set(raw, answer.names[at][k]));
    return ids;
  }

  /** What the model does not know: without the user there is nothing to show, without some items there is. */
  #leaveOut({ users = [], ...items }) {
    if (users.length > 0) throw new Refused(`the model knows no user ${users[0]}; choose another, or pick items as a new user`);
    const unknown = [...new Set(Object.values(items).flat().map(String))];
    this.#state.items = this.#state.items.filter((raw) => !unknown.includes(raw));
    element("left-out").hidden = unknown.length === 0;
    element("left-out").textContent = `Left out, as the model does not know them: ${unknown.join(", ")}`;
  }

  #showList({ items, scores, fallback }, had) {
    const act = (row, item) => {
      this.#opens(row, ".why", ".like", (signal) => this.#why(item, signal));
      this.#opens(row, ".like", ".why", (signal) => this.#similar(item, signal));
      row.querySelector(".why").setAttribute("aria-label", `Why ${this.#names.get(item) ?? item}`);
      row.querySelector(".like").setAttribute("aria-label", `Similar to ${this.#names.get(item) ?? item}`);
      row.querySelector(".like").hidden = !this.#served.personal;
    };
    showItems(element("list"), items, this.#names, { scores, fallback, had, ranked: true, act });
    element("list-count").textContent = count(items.length, "item");
    const note = element("fallback-note");
    note.hidden = !fallback.some(Boolean) && items.length > 0;
    note.textContent =
      items.length === 0
        ? "Nothing is left to recommend. Allow more items, or what the user had."
        : fallback.every(Boolean)
          ? "Nothing is known of this user’s taste, so these are the most popular items, with their numbers of users."
          : "Items marked popular have no score of their own; the most popular ones come first.";
  }

  #showHistory({ items, order }) {
    const show = (most) => showItems(element("history"), items.slice(0, most), this.#names);
    show(HISTORY);
    element("history-count").textContent = items.length > 0 ? `${count(items.length, "item")}, ${order}` : "";
    element("history-note").hidden = items.length > 0;
    element("history-note").textContent = "None: this user had nothing in training.";
    element("all").hidden = items.length <= HISTORY;
    element("all").textContent = `Show all ${items.length.toLocaleString("en")}`;
    element("all").onclick = () => {
      show(items.length);
      element("all").hidden = true;
      element("history").children[HISTORY].querySelector(".name").focus();
    };
  }

  /** A button of a row that opens what `load` brings, and closes it again. */
  #opens(row, button, other, load) {
    const [own, others, more] = [button, other, ".more"].map((name) => row.querySelector(name));
    let asked = new AbortController();
    own.addEventListener("click", async () => {
      asked.abort();
      asked = new AbortController();
      const opens = own.getAttribute("aria-expanded") === "false";
      own.setAttribute("aria-expanded", String(opens));
      others.setAttribute("aria-expanded", "false");
      more.hidden = !opens;
      if (!opens) return;
      const { signal } = asked;
      more.replaceChildren(paragraph("Asking the server…"));
      try {
        const shown = await load(signal);
        if (own.getAttribute("aria-expanded") === "true") more.replaceChildren(...shown);
      } catch (error) {
        if (error.name === "AbortError") return;
        const told = paragraph(capital(error.message));
        told.className = "wrong";
        more.replaceChildren(told);
      }
    });
  }

  async #why(item, signal) {
    const [raw] = this.#itemIds([item]);
    return explained(await post("explain", { ...this.#whom, item: raw, names: true }, signal));
  }

  async #similar(item, signal) {
    const n = Math.min(SIMILAR, this.#served.num_items);
    const answer = await post("similar", { items: this.#itemIds([item]), n, names: true }, signal);
    const list = document.createElement("ul");
    list.className = "items";
    list.setAttribute("aria-label", `Similar to ${this.#names.get(item) ?? item}`);
    showItems(list, this.#named(answer, 0), this.#names, { scores: answer.scores[0] });
    return [paragraph("The likeness of each to this item:"), list];
  }
}

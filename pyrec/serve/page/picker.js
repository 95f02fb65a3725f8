/* A field with a list of what it may mean, by keyboard or pointer, and chips of what was picked. */

import { shortened } from "./lists.js";

const WAIT_MS = 120;

/**
 * Offers what is found for the text of a field, and calls `choose(id, name)` with what is picked.
 * `find(text, signal)` gives a promise of pairs [id, name]; Enter without a pick calls `enter(text)`.
 */
export class Picker {
  #input;
  #list;
  #find;
  #choose;
  #enter;
  #found = [];
  #active = -1;
  #timer = 0;
  #asked = null;

  constructor(input, list, { find, choose, enter }) {
    this.#input = input;
    this.#list = list;
    this.#find = find;
    this.#choose = choose;
    this.#enter = enter;
    list.setAttribute("role", "listbox");
    list.hidden = true;
    const attributes = {
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-controls": list.id,
      "aria-expanded": "false",
    };
    for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);
    input.addEventListener("input", () => this.#soon(WAIT_MS));
    input.addEventListener("focus", () => this.#soon(0));
    input.addEventListener("click", () => this.#soon(0));
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // which would move the focus
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#pick([...list.children].indexOf(option));
    });
  }

  close() {
    clearTimeout(this.#timer);
    this.#asked?.abort();
    this.#found = [];
    this.#show();
  }

  #soon(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), wait);
  }

  async #look() {
    this.#asked?.abort();
    const asked = (this.#asked = new AbortController());
    try {
      this.#found = await this.#find(this.#input.value.trim(), asked.signal);
    } catch {
      this.#found = []; // the request for the list will say what is wrong
    }
    if (!asked.signal.aborted && document.activeElement === this.#input) this.#show();
  }

  #show() {
    this.#active = -1;
    const options = this.#found.map(([id, name], at) => {
      const option = document.createElement("li");
      option.id = `${this.#list.id}-${at}`;
      option.setAttribute("role", "option");
      option.append(labelled("name", name ?? id), name === null ? "" : labelled("id", id));
      return option;
    });
    this.#list.replaceChildren(...options);
    this.#list.hidden = options.length === 0;
    this.#input.setAttribute("aria-expanded", String(options.length > 0));
    this.#mark();
  }

  #mark() {
    const options = [...this.#list.children];
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === this.#active)));
    const active = options[this.#active];
    if (active) {
      this.#input.setAttribute("aria-activedescendant", active.id);
      active.scrollIntoView({ block: "nearest" });
    } else {
      this.#input.removeAttribute("aria-activedescendant");
    }
  }

  #key(event) {
    if (event.isComposing) return;
    const count = this.#found.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (count === 0) return this.#soon(0);
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#active = this.#active < 0 && step < 0 ? count - 1 : (this.#active + step + count) % count;
      this.#mark();
    } else if (event.key === "Escape" && count > 0) {
      event.preventDefault();
      this.close();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (this.#active >= 0) this.#pick(this.#active);
      else this.#entered();
    }
  }

  async #entered() {
    const text = this.#input.value.trim();
    this.close();
    if (text !== "") await this.#enter(text);
  }

  #pick(at) {
    const [id, name] = this.#found[at];
    this.close();
    this.#choose(id, name);
  }
}

/** Shows what was picked as chips that can be taken away again; `names` are by id. */
export function showChips(list, ids, names, remove) {
  const template = document.getElementById("chip");
  const chips = ids.map((id) => {
    const chip = template.content.cloneNode(true);
    const name = names.get(id) ?? id;
    chip.querySelector(".name").textContent = shortened(name);
    chip.querySelector(".name").title = name;
    const button = chip.querySelector(".remove");
    button.setAttribute("aria-label", `Remove ${name}`);
    button.addEventListener("click", () => remove(id));
    return chip;
  });
  list.replaceChildren(...chips);
}

export function labelled(kind, text) {
  const part = document.createElement("span");
  part.className = kind;
  part.textContent = shortened(text);
  part.title = text;
  return part;
}

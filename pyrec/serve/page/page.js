/* The page: whom it is about, by what filters, and the address that says so. */

import * as address from "./address.js";
import { get, Refused } from "./api.js";
import { count } from "./lists.js";
import { Picker, showChips } from "./picker.js";
import { Result } from "./result.js";
import { capital } from "./why.js";

const MOST_FOUND = 12;
const EXAMPLES = 5;
const NAMED_AT_ONCE = 100;
const WAITING = "Asking the server…";
const SLOW_MS = 400;
const EMPTY = {
  user: "Choose a user to see what the model recommends, beside what the user had.",
  items: "Pick some items that a new user had, and see what the model recommends.",
};

const element = (name) => document.getElementById(name);
const names = new Map();
let served = null;
let state = address.blank();
let asked = new AbortController();

async function start() {
  element("problem").hidden = true;
  try {
    served = await get("health", {});
    element("model").textContent = served.label;
    element("about").textContent = `${count(served.num_users, "user")}, ${count(served.num_items, "item")}${age()}`;
    element("foot").textContent = /^\d/.test(served.version) ? `pyrec ${served.version}` : "pyrec";
    element("n").max = Math.min(1000, served.num_items);
    await Promise.all([readAddress(), showExamples()]);
  } catch (error) {
    complain(error);
  }
}

function age() {
  if (served.saved_at === null) return "";
  const options = { dateStyle: "medium", timeStyle: "short" };
  return `, saved ${new Date(served.saved_at).toLocaleString("en-GB", options)}`;
}

async function showExamples() {
  const { ids } = await get("users", { limit: EXAMPLES });
  const buttons = ids.map((raw) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = raw;
    button.addEventListener("click", () => chooseUser(String(raw)));
    return button;
  });
  element("examples").replaceChildren("Such as ", ...buttons);
  element("examples").hidden = false;
}

// What is found for what is typed.

async function findUsers(prefix, signal) {
  const { ids } = await get("users", { prefix, limit: MOST_FOUND }, signal);
  return ids.map((raw) => [String(raw), null]);
}

async function findItems(search, signal) {
  return named(await get("items", { search, limit: MOST_FOUND }, signal));
}

async function learnNames(ids, signal) {
  const unknown = ids.filter((one) => !names.has(one));
  for (let at = 0; at < unknown.length; at += NAMED_AT_ONCE) {
    named(await get("items", { id: unknown.slice(at, at + NAMED_AT_ONCE) }, signal));
  }
}

/** Pairs of an id and a name, which is kept. */
function named(found) {
  const pairs = found.ids.map((raw, at) => [String(raw), found.names[at]]);
  for (const [raw, name] of pairs) {
    if (name !== null) names.set(raw, name);
  }
  return pairs;
}

// What is chosen.

function chooseUser(user) {
  element("user").value = user;
  change({ mode: "user", user });
}

function change(changes) {
  Object.assign(state, changes);
  const path = address.write(state);
  if (path !== (location.search || location.pathname)) history.pushState(null, "", path);
  show();
}

async function readAddress() {
  state = address.read(location.search, served.item_ids);
  element("user").value = state.user;
  element("n").value = state.n;
  element("seen").checked = state.seen;
  element("choice").open = state.only.length + state.never.length > 0;
  await show();
}

/** A field that adds items to a list of the state. */
function takesItems(name, list) {
  const input = element(name);
  const add = (raw) => {
    input.value = "";
    change({ [list]: [...new Set([...state[list], raw])] });
  };
  const enter = async (text) => {
    try {
      const [first] = await findItems(text);
      if (first === undefined) throw new Refused(`no item has “${text}” in its name or id`);
      add(first[0]);
    } catch (error) {
      complain(error);
    }
  };
  new Picker(input, element(`${name}-options`), { find: findItems, choose: add, enter });
}

function listen() {
  const user = { find: findUsers, choose: chooseUser, enter: chooseUser };
  new Picker(element("user"), element("user-options"), user);
  takesItems("item", "items");
  takesItems("only", "only");
  takesItems("never", "never");
  element("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    chooseUser(element("user").value.trim());
  });
  for (const mode of ["user", "items"]) {
    element(`mode-${mode}`).addEventListener("change", () => change({ mode }));
  }
  element("n").addEventListener("change", () => {
    const wanted = Math.round(Number(element("n").value)) || address.blank().n;
    const n = Math.min(Number(element("n").max), Math.max(1, wanted));
    element("n").value = n;
    change({ n });
  });
  element("seen").addEventListener("change", () => change({ seen: element("seen").checked }));
  element("again").addEventListener("click", () => (served === null ? start() : show()));
  addEventListener("popstate", readAddress);
}

// What is shown.

async function show() {
  asked.abort();
  asked = new AbortController();
  const { signal } = asked;
  showChoices();
  for (const name of ["problem", "left-out"]) element(name).hidden = true;
  const isNobody = state.mode === "user" ? state.user === "" : state.items.length === 0;
  element("empty").hidden = !isNobody;
  element("who").hidden = isNobody;
  if (isNobody) {
    element("lists").hidden = true;
    element("status").textContent = "";
    return;
  }
  element("result").setAttribute("aria-busy", "true");
  element("status").textContent = WAITING;
  const slow = setTimeout(showWaiting, SLOW_MS, signal);
  try {
    await learnNames([...state.items, ...state.only, ...state.never], signal);
    showChoices();
    await new Result(served, names, { ...state }).show(signal);
  } catch (error) {
    if (error.name !== "AbortError") complain(error);
  } finally {
    clearTimeout(slow);
    if (!signal.aborted) element("result").removeAttribute("aria-busy");
    if (!signal.aborted) element("empty").hidden = true;
  }
}

function showWaiting(signal) {
  if (signal.aborted) return;
  element("empty").textContent = WAITING;
  element("empty").hidden = false;
}

function showChoices() {
  const isUser = state.mode === "user";
  element(`mode-${state.mode}`).checked = true;
  element("for-user").hidden = !isUser;
  element("for-items").hidden = isUser;
  element("who").textContent = isUser ? `User ${state.user}` : `A new user with ${count(state.items.length, "item")}`;
  element("empty").textContent = EMPTY[state.mode];
  for (const [name, list] of [["item", "items"], ["only", "only"], ["never", "never"]]) {
    const remove = (raw) => {
      change({ [list]: state[list].filter((one) => one !== raw) });
      element(name).focus();
    };
    showChips(element(`${name}-chips`), state[list], names, remove);
  }
  const chosen = state.only.length + state.never.length;
  element("choice-count").textContent = chosen > 0 ? ` (${chosen})` : "";
}

/** Say what went wrong, and how to go on. */
function complain(error) {
  element("problem-text").textContent = `${capital(error.message)}${/[.?!]$/.test(error.message) ? "" : "."}`;
  element("again").hidden = !error.again;
  element("problem").hidden = false;
  for (const name of ["lists", "who"]) element(name).hidden = true;
  element("status").textContent = "";
  if (!(error instanceof Refused)) throw error;
}

listen();
start();

/* What is shown, as a part of the address: /?user=17&n=20 or /?items=1,260, so that it can be kept and sent. */

const LISTS = ["items", "only", "never"];

export function blank() {
  return { mode: "user", user: "", items: [], n: 10, seen: true, only: [], never: [] };
}

/** The state that an address asks for; `itemKind` tells what item ids are, "integers" or "text". */
export function read(search, itemKind) {
  const state = blank();
  for (const part of search.replace(/^\?/, "").split("&")) {
    const [name, ...rest] = part.split("=");
    const value = rest.join("=").replaceAll("+", " ");
    if (LISTS.includes(name)) state[name] = ids(value, itemKind);
    else if (name === "user") state.user = decoded(value);
    else if (name === "n" && /^[1-9]\d{0,3}$/.test(value)) state.n = Math.min(1000, Number(value));
    else if (name === "seen") state.seen = value !== "1";
  }
  if (state.items.length > 0 && state.user === "") state.mode = "items";
  return state;
}

/** Ids between commas; a comma of an id is written %2C. */
function ids(value, kind) {
  const whole = kind === "text" ? value.split(",").map(decoded) : decoded(value).split(",");
  return [...new Set(whole.map((id) => id.trim()).filter((id) => id !== ""))];
}

export function write(state) {
  const parts = [];
  if (state.mode === "user" && state.user !== "") parts.push(`user=${encodeURIComponent(state.user)}`);
  for (const name of LISTS) {
    const list = name === "items" && state.mode === "user" ? [] : state[name];
    if (list.length > 0) parts.push(`${name}=${list.map(encodeURIComponent).join(",")}`);
  }
  if (state.n !== 10) parts.push(`n=${state.n}`);
  if (!state.seen) parts.push("seen=1");
  return parts.length > 0 ? `?${parts.join("&")}` : location.pathname;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a lone percent sign
  }
}

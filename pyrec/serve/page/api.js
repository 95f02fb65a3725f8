/* Requests to the server. Ids are text here: those of 64 bits are beyond JavaScript's numbers. */

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(\.\d+)?([eE][-+]?\d+)?/g;
const SAFE_DIGITS = 15;

/** What cannot be done, for the reader; `again` says whether to try once more may help. */
export class Refused extends Error {
  constructor(message, again = false) {
    super(message);
    this.again = again;
  }
}

/** A raw id as it stands in a request. */
class Id {
  constructor(json) {
    this.json = json;
  }
}

/** The raw id that a text stands for; `kind` is "integers" or "text". */
export function id(text, kind) {
  if (kind === "text") return new Id(JSON.stringify(text));
  if (!/^-?\d{1,19}$/.test(text)) throw new Refused(`Ids of this model are whole numbers, and “${text}” is none.`);
  return new Id(String(BigInt(text)));
}

export function get(path, fields, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) query.append(name, one);
  }
  return ask(`${path}?${query}`, { signal });
}

export function post(path, fields, signal) {
  const headers = { "content-type": "application/json" };
  return ask(path, { method: "POST", body: json(fields), headers, signal });
}

async function ask(path, options) {
  let answer, text;
  try {
    answer = await fetch(path, { ...options, headers: { ...options.headers, accept: "application/json" } });
    text = await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server does not answer. Is it still running?", true);
  }
  const content = parsed(text);
  if (answer.ok && content !== null) return content;
  throw new Refused(content?.error?.message ?? `The server answers with status ${answer.status}.`, answer.status >= 500);
}

/** What JSON says, with long whole numbers as text; null if it is none. */
function parsed(text) {
  const quoted = (token, fraction, exponent) =>
    token[0] === '"' || fraction || exponent || token.length <= SAFE_DIGITS ? token : `"${token}"`;
  try {
    return JSON.parse(text.replace(TOKEN, quoted));
  } catch {
    return null;
  }
}

function json(value) {
  if (value instanceof Id) return value.json;
  if (Array.isArray(value)) return `[${value.map(json).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${entries.map(([name, one]) => `${JSON.stringify(name)}:${json(one)}`).join(",")}}`;
}

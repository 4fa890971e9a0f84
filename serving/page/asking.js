// The API, and the address: which view of what is shown is all after the #.

// A token comes in the address once (#token=...), is taken out of it, and is kept as long as this tab is open.
// Returns whether one has come.
export function takeToken() {
  const given = /^#token=([\w-]+)$/.exec(location.hash);
  if (!given) return false;
  keepToken(given[1]);
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

export const keepToken = (token) => sessionStorage.setItem("token", token);

// The headers of every request.
export function shown() {
  const token = sessionStorage.getItem("token");
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

// Asks the API; throws {what, where, what_to_do, status}.
export async function ask(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  let answer;
  try {
    answer = await fetch(`api/${path}?${new URLSearchParams(given)}`, { headers: shown() });
  } catch {
    throw { what: "The server does not answer", where: location.host, what_to_do: "see whether alsobought up or serve still runs" };
  }
  const body = await answer.json();
  if (!answer.ok) throw { ...body, status: answer.status };
  return body;
}

export function where() {
  const [name, query] = location.hash.slice(1).split("?");
  return { name, parameters: Object.fromEntries(new URLSearchParams(query)) };
}

// The address of a view; the kind of events stays.
export function address(name, parameters) {
  const { kind } = where().parameters;
  const query = new URLSearchParams(Object.entries({ kind, ...parameters }).filter(([, value]) => value));
  return `#${name}?${query}`;
}

export const go = (name, parameters) => { location.hash = address(name, parameters); };

// The same, but not a step that the back button undoes.
export function replace(name, parameters) {
  history.replaceState(null, "", address(name, parameters));
  dispatchEvent(new Event("hashchange"));
}

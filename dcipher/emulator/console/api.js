// The control API. The key, where one is wanted, is in this module's memory only.

export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `The emulator answers ${status}.`);
    this.status = status;
    this.detail = body?.detail ?? [];
  }
}

export class Gone extends Error {}

let key = null;

export function useKey(text) {
  key = text;
}

export async function ask(method, path, body) {
  const headers = { "X-Dcipher-Emulator": "1" };
  if (key !== null) headers.Authorization = `Api-Key ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  let text;
  try {
    answer = await fetch(path, {
      method, headers, body, cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(15000),
    });
    text = await answer.text();
  } catch {
    throw new Gone("The emulator does not answer.");
  }
  let value = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Somebody else's page at this address: what it says is not shown.
  }
  if (!answer.ok || value === null) throw new Refused(answer.status, value);
  return value;
}

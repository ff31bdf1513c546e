// The control API. The key, if one is needed, is only in the memory of this module.

export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `The emulator responded with ${status}.`);
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
  let response;
  let text;
  try {
    response = await fetch(path, {
      method, headers, body, cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(15000),
    });
    text = await response.text();
  } catch {
    throw new Gone("The emulator does not respond.");
  }
  let value = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Another server at this address: its text is not shown.
  }
  if (!response.ok || value === null) throw new Refused(response.status, value);
  return value;
}

// The server's API. A problem document becomes a `Problem`; a missing token is asked for once.

import { t } from "./text.js";

export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? String(status));
    this.status = status;
    this.kind = (document.type ?? "").split(":").pop();
    this.field = document.field;
  }
}

/** Asks for the token until the server takes it. */
let asking = null;
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token");
    const [form, error] = [dialog.querySelector("form"), dialog.querySelector(".error")];
    const say = (text) => {
      error.textContent = text;
      error.hidden = false;
      form.elements.token.focus();
    };
    // A browser closes it at the second Escape, whatever is said; without an answer it opens again.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.onclose = () => asking && dialog.showModal();
    form.onsubmit = async (event) => {
      event.preventDefault();
      const token = form.elements.token.value.trim();
      if (!token) return say(t("tokenMissing"));
      const answer = await fetch("/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
      if (!answer?.ok) return say(t(answer ? "tokenWrong" : "offline"));
      asking = null;
      dialog.close();
      resolve();
    };
    dialog.showModal();
  });
  return asking;
}

async function problemOf(answer) {
  const document = await answer.json().catch(() => ({}));
  return new Problem(answer.status, document);
}

/** Why a request came to nothing: the file has changed, or nobody answers. */
async function lostProblem(file, text) {
  const changed = file && (await file.slice(0, 1).arrayBuffer().then(() => false, () => true));
  return changed ? new Problem(0, { type: ":changed", detail: t("changed") }) : new Problem(0, { type: ":offline", detail: text });
}

/** One request; its JSON, or a `Problem`. */
export async function call(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, { method, body });
  } catch {
    throw await lostProblem(body, t("offlineFile"));
  }
  if (answer.status === 401) {
    await askForToken();
    return call(method, path, body);
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer.status === 204 ? null : answer.json();
}

const query = (values) => {
  const known = Object.entries(values).filter(([, value]) => value);
  return known.length ? `?${new URLSearchParams(known)}` : "";
};

export const topologies = () => call("GET", "/topologies");
export const reasons = () => call("GET", "/reasons");
export const version = () => call("GET", "/version");
export const recent = (lang) => call("GET", `/uploads${query({ limit: 20, lang })}`);
export const upload = (id) => call("GET", `/uploads/${encodeURIComponent(id)}`);
export const preview = (id) => call("GET", `/uploads/${encodeURIComponent(id)}/preview`);
export const rejects = (id, lang) => call("GET", `/uploads/${encodeURIComponent(id)}/rejects${query({ lang })}`);
export const points = (id) => call("GET", `/uploads/${encodeURIComponent(id)}/points`);
export const systems = (q) => call("GET", `/crs${query({ q })}`);
export const giveUp = ({ id, topology }) => call("DELETE", `/uploads/${encodeURIComponent(id)}${query({ topology })}`);
export const archiveUrl = (ids) => `/workbooks.zip${query({ ids: ids.join(",") })}`;
export const workbookUrl = (id) => `/workbooks/${encodeURIComponent(id)}`;

/** What would become of a file, told by its beginning. */
const SAMPLE_BYTES = 256 * 1024;
/** Archives and workbooks cannot be read by their beginning. */
const WHOLE_BYTES = 64 << 20;
const PACKED = ["PK\u0003\u0004", "\u00d0\u00cf\u0011\u00e0"];
async function sampled(file, choice, lang) {
  const asked = (whole) => query({ ...choice, whole, name: file.name, lang });
  if (file.size <= SAMPLE_BYTES) return [asked("true"), file];
  const magic = await file.slice(0, 4).arrayBuffer().catch(() => new ArrayBuffer(0)); // a file that has changed: the request says so
  if (!PACKED.includes(String.fromCharCode(...new Uint8Array(magic)))) return [asked(""), file.slice(0, SAMPLE_BYTES)];
  if (file.size > WHOLE_BYTES) throw new Problem(413, { type: ":packed-too-large", detail: t("packedTooLarge") });
  return [asked("true"), file];
}
export async function inspect(file, choice, lang) {
  const [asked, sample] = await sampled(file, choice, lang);
  return call("POST", `/inspect${asked}`, sample);
}

/** What was found and chosen, as the text of a topology file. */
export async function draft(file, choice, lang) {
  const [asked, sample] = await sampled(file, choice, lang);
  const answer = await fetch(`/draft${asked}`, { method: "POST", body: sample });
  if (!answer.ok) throw await problemOf(answer);
  return answer.text();
}

/** Sends a file and its corrected rows; `progress` is told the bytes sent. `cancel` ends it: the answer is rejected with `null`. */
export function send(file, choice, progress, corrected = null) {
  const request = new XMLHttpRequest();
  let cancelled = false;
  const once = () => new Promise((resolve, reject) => {
    if (cancelled) return reject(null);
    const form = corrected && new FormData();
    if (form) {
      for (const [name, value] of Object.entries({ ...choice, ...corrected, name: file.name })) if (value) form.append(name, value);
      form.append("file", file);
    }
    request.open("POST", `/uploads${form ? "" : query({ ...choice, name: file.name })}`);
    request.responseType = "json";
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onload = () => {
      if (request.status < 300) resolve(request.response);
      else reject(new Problem(request.status, request.response ?? {}));
    };
    request.onerror = () => lostProblem(file, t("lost")).then(reject);
    request.onabort = () => reject(null);
    request.send(form ?? file);
  });
  const untilAllowed = () => once().catch(async (problem) => {
    if (problem?.status !== 401) throw problem;
    await askForToken();
    return untilAllowed();
  });
  const cancel = () => {
    cancelled = true;
    request.abort();
  };
  return { answer: untilAllowed(), cancel };
}

/** Tells `each` how an upload stands, until it has ended. The browser mends a stream that breaks, but not one that is refused: `refused`. */
export function follow(id, lang, each, refused) {
  const source = new EventSource(`/uploads/${encodeURIComponent(id)}/events${query({ lang })}`);
  const heard = (event) => each(JSON.parse(event.data));
  source.addEventListener("upload", heard);
  source.addEventListener("end", (event) => {
    source.close();
    heard(event);
  });
  source.onerror = () => source.readyState === EventSource.CLOSED && refused();
  return () => source.close();
}

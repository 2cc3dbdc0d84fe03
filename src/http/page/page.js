// The page: files in, cards for each, and what was uploaded before.

import * as api from "./api.js";
import { Card } from "./card.js";
import { el, say } from "./tables.js";
import { chooseLanguage, count, currentLanguage, fill, moment, t } from "./text.js";

/** How often recent uploads and topologies are looked at. */
const LOOK_EVERY_MS = 5000;

const at = (id) => document.getElementById(id);
const cards = [];
let topologies = null; // not known yet
let reasons = {};
let uploads = [];
let isOffline = false;

const explain = (reason) => reasons[reason]?.[currentLanguage()] ?? reason;

function announce(text) {
  at("announcer").textContent = text;
}

function open(what) {
  const card = new Card({
    ...what,
    topologies: () => topologies ?? [],
    explain,
    announce,
    changed: () => {
      renderAll();
      look();
    },
    closed: (gone) => {
      cards.splice(cards.indexOf(gone), 1);
      document.body.classList.toggle("is-busy", cards.length > 0);
      renderAll();
      at("file").focus();
    },
  });
  cards.unshift(card);
  at("cards").prepend(card.element);
  document.body.classList.add("is-busy");
  return card;
}

function take(files) {
  say(at("choose-error"), files.length === 0 ? t("nothingChosen") : null);
  for (const file of files) open({ file });
}

function render() {
  document.documentElement.lang = currentLanguage();
  document.title = `sheetstream · ${t("title")}`;
  fill(document);
  document.body.classList.remove("empty");
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
  renderNotice();
  renderRecent();
  for (const card of cards) card.render();
}

const ready = () => cards.filter((card) => card.isReady());

/** Several files are made with one button, and downloaded as one file. */
function renderAll() {
  const [make, zip] = at("all").children;
  const made = cards.filter((card) => card.upload?.workbook);
  make.hidden = ready().length < 2;
  zip.hidden = made.length < 2;
  zip.href = api.archiveUrl(made.map((card) => card.upload.id));
  at("all").hidden = make.hidden && zip.hidden;
}

function renderNotice() {
  const broken = (topologies ?? []).filter((topology) => topology.problems);
  let text = "";
  if (isOffline) text = t("offline");
  else if (broken.length > 0) text = t("broken", broken.map((topology) => topology.problems).join("\n"));
  else if (topologies?.length === 0) text = t("noTopology");
  else if (uploads.some(({ failure }) => failure?.details?.key_per_row)) text = t("keyPerRow");
  if (at("notice").textContent !== text) at("notice").textContent = text;
  at("notice").hidden = text === "";
}

const MOODS = { PUBLISHED: "good", FAILED: "bad", EXPIRED: "bad", INCOMPLETE: "waiting", STALLED: "waiting" };

function renderRecent() {
  at("recent").hidden = uploads.length === 0;
  const focused = document.activeElement?.dataset?.upload;
  const mood = (upload) => (upload.state === "PUBLISHED" && upload.accounting.written === 0 && upload.accounting.rejected > 0 ? "waiting" : MOODS[upload.state] ?? "");
  const rows = uploads.map((upload) => {
    const name = upload.name ?? upload.id;
    const shows = el("button", { type: "button", className: "quiet", onclick: () => reopen(upload) }, name);
    shows.dataset.upload = upload.id;
    const workbook = upload.workbook ? [el("a", { href: api.workbookUrl(upload.id), download: upload.workbook.filename, aria: { label: `${t("downloadShort")}: ${upload.workbook.filename}` } }, t("downloadShort"))] : [];
    return el("tr", {},
      el("td", { title: name }, shows, ...(upload.crs ? [el("span", { className: "chip" }, upload.crs)] : [])),
      el("td", {}, el("span", { className: `state ${mood(upload)}`, title: upload.failure?.message ?? "" }, t("states")[upload.state] ?? upload.state)),
      el("td", { className: "number", title: t("rows") }, count(upload.accounting.rows_in)),
      el("td", { className: "number", title: t("rejected") }, count(upload.accounting.rejected)),
      el("td", {}, moment(upload.updated_at_ms)),
      el("td", {}, ...workbook));
  });
  at("recent").querySelector("tbody").replaceChildren(...rows);
  if (focused) at("recent").querySelector(`[data-upload="${CSS.escape(focused)}"]`)?.focus();
}

function reopen(upload) {
  const known = cards.find((card) => card.upload?.id === upload.id) ?? open({ upload });
  known.element.scrollIntoView({ block: "start" });
  known.element.tabIndex = -1;
  known.element.focus({ preventScroll: true });
}

/** Looks at what is there. While nobody looks at the page, neither does the page. */
async function look() {
  if (document.hidden) return;
  try {
    const [known, listed] = await Promise.all([api.topologies(), api.recent(currentLanguage())]);
    const news = isOffline || JSON.stringify([known, listed.uploads]) !== JSON.stringify([topologies, uploads]);
    [topologies, uploads, isOffline] = [known, listed.uploads, false];
    for (const card of cards) card.retry();
    if (!news) return;
  } catch {
    isOffline = true;
  }
  renderNotice();
  renderRecent();
}

function wire() {
  const [drop, file] = [at("drop"), at("file")];
  file.onchange = () => {
    take([...file.files]);
    file.value = "";
  };
  at("choose").onsubmit = (event) => {
    event.preventDefault();
    take([...file.files]);
  };
  // Anywhere on the page: whoever misses the field does not leave the page for the file.
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take([...(event.dataTransfer?.files ?? [])]);
  });
  for (const button of document.querySelectorAll("[data-language]")) {
    button.onclick = () => {
      chooseLanguage(button.dataset.language);
      render();
      for (const card of cards) card.speak();
    };
  }
  document.addEventListener("visibilitychange", look);
  at("all").querySelector("button").onclick = () => ready().forEach((card) => card.send());
  // Bytes that are on their way are lost with the page.
  addEventListener("beforeunload", (event) => {
    if (cards.some((card) => card.sending)) event.preventDefault();
  });
}

wire();
render();
await look();
render();
setInterval(look, LOOK_EVERY_MS);
reasons = await api.reasons().catch(() => ({}));
const { name, version } = await api.version().catch(() => ({ name: "", version: "" }));
at("version").textContent = `${name} ${version}`;
for (const card of cards) card.render();

// One file on its way to a workbook: understood, sent, followed, downloaded. `render` draws what the fields say, so that it can be called at
// any time, for one in another language too.

import * as api from "./api.js";
import { showRejects, showSheets, el } from "./tables.js";
import { currentLanguage, fill, size, t } from "./text.js";

/** CRSs that Korean files come in (EPSG's names). */
const CRS = [
  ["EPSG:5179", "KGD2002 / Unified CS (UTM-K)"],
  ["EPSG:5181", "KGD2002 / Central Belt"],
  ["EPSG:5186", "KGD2002 / Central Belt 2010"],
  ["EPSG:5185", "KGD2002 / West Belt 2010"],
  ["EPSG:5187", "KGD2002 / East Belt 2010"],
  ["EPSG:5188", "KGD2002 / East Sea Belt 2010"],
  ["EPSG:5174", "Korean 1985 / Modified Central Belt"],
  ["EPSG:5178", "KGD2002 / Unified CS (Bessel)"],
  ["EPSG:4326", "WGS 84"],
  ["EPSG:3857", "WGS 84 / Pseudo-Mercator"],
];
const OTHER = "other";
const ENDED = new Set(["PUBLISHED", "FAILED", "ABORTED", "EXPIRED"]);
/** Least time between two looks at the first rows of an upload that is under way. */
const PREVIEW_EVERY_MS = 2000;
/** Rows of a sheet that are shown: enough to recognise it by. */
const ROWS_SHOWN = 8;

/** Cards so far: what their ids are made of. */
let cards = 0;

export class Card {
  /** For a file that was chosen, or for an upload that was made before (`upload`). */
  constructor({ file = null, upload = null, topologies, explain, announce, changed, closed }) {
    Object.assign(this, { file, upload, topologies, explain, announce, changed, closed });
    this.name = file?.name ?? upload.name ?? upload.id;
    this.choice = { topology: "", crs: "" };
    this.inspection = null;
    this.problem = null;
    this.sent = null;
    this.sending = null;
    this.sheets = null;
    this.rejected = null;
    this.turn = 0;
    this.element = document.getElementById("card").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.element.querySelector(selector);
    this.wire();
    this.render();
    if (upload) this.follow();
    else this.inspect();
  }

  wire() {
    this.id = `card-${(cards += 1)}`;
    this.find(".name").id = this.id;
    this.element.setAttribute("aria-labelledby", this.id);
    const { topology, crs, "other-crs": other } = this.find(".plan").elements;
    for (const [label, field] of [["topology", topology], ["sourceCrs", crs]]) {
      field.id = `${this.id}-${label}`;
      this.find(`label[data-text="${label}"]`).htmlFor = field.id;
    }
    other.setAttribute("aria-labelledby", `${crs.id}-label`);
    this.find('label[data-text="sourceCrs"]').id = `${crs.id}-label`;
    topology.onchange = () => this.choose({ topology: topology.value, crs: "" });
    crs.onchange = () => {
      other.hidden = crs.value !== OTHER;
      if (other.hidden) this.choose({ crs: crs.value });
      else other.focus();
    };
    other.onchange = () => this.choose({ crs: other.value.trim() });
    this.find(".plan").onsubmit = (event) => {
      event.preventDefault();
      this.send();
    };
    this.find(".close").onclick = () => this.close();
    this.find(".cancel").onclick = () => this.cancel();
  }

  choose(choice) {
    Object.assign(this.choice, choice);
    this.inspect();
  }

  /** Asks what would become of the file; an answer that comes after a later question is passed over. */
  async inspect() {
    const turn = (this.turn += 1);
    try {
      const inspection = await api.inspect(this.file, this.choice);
      if (turn !== this.turn) return;
      Object.assign(this, { inspection, problem: null });
      this.choice.topology ||= inspection.topology;
    } catch (problem) {
      if (turn !== this.turn) return;
      Object.assign(this, { problem, inspection: problem.field === "crs" ? this.inspection : null });
    }
    this.announce(this.problem ? this.problem.message : `${this.name}: ${this.trialText()}`);
    this.render();
  }

  async send() {
    this.problem = null;
    this.sent = 0;
    this.sending = api.send(this.file, this.choice, (bytes) => {
      this.sent = bytes;
      this.render();
    });
    this.announce(`${this.name}: ${t("sending", 0, this.file.size)}`);
    this.render();
    try {
      this.upload = await this.sending.answer;
      this.follow();
      this.changed();
    } catch (problem) {
      this.problem = problem;
      if (problem) this.announce(problem.message);
    }
    this.sending = null;
    this.sent = null;
    this.render();
  }

  follow() {
    this.stop = api.follow(this.upload.id, (upload) => {
      const hadEnded = ENDED.has(this.upload.state) && this.sheets;
      this.upload = upload;
      if (ENDED.has(upload.state)) {
        if (!hadEnded) this.finish();
      } else if (upload.accounting.rows_in > 0) {
        this.look();
      }
      this.render();
    });
  }

  /** A look at the sheets while they grow. There may be nothing to see yet, or at another instance: that is no problem. */
  async look() {
    if (this.looking || Date.now() - (this.looked ?? 0) < PREVIEW_EVERY_MS) return;
    this.looking = true;
    const seen = await api.preview(this.upload.id).catch(() => null);
    Object.assign(this, { looking: false, looked: Date.now() });
    if (seen) this.sheets = seen.sheets;
    this.render();
  }

  async finish() {
    const { id, state, accounting } = this.upload;
    this.announce(`${this.name}: ${this.verdict()}`);
    this.changed();
    const looking = state === "PUBLISHED" ? api.preview(id).catch(() => null) : null;
    if (accounting.rejected > 0) await this.retell();
    const seen = await looking;
    // Rejected rows are shown once: in their list, or on their sheet where the list cannot be had.
    const isListed = (sheet) => this.rejected?.length > 0 && sheet.name === seen.errors_sheet;
    if (seen) this.sheets = seen.sheets.filter((sheet) => !isListed(sheet));
    this.render();
  }

  /** Rejected rows, their messages in the reader's language. */
  async retell() {
    const told = await api.rejects(this.upload.id, currentLanguage()).catch(() => null);
    this.rejected = told?.rejects ?? this.rejected;
    this.render();
  }

  async cancel() {
    this.sending?.cancel();
    if (this.upload && !ENDED.has(this.upload.state)) {
      await api.giveUp(this.upload.id).catch((problem) => {
        this.problem = problem;
      });
    }
    this.render();
  }

  close() {
    this.sending?.cancel();
    this.stop?.();
    this.element.remove();
    this.closed(this);
  }

  // What it looks like

  render() {
    fill(this.element);
    const { find, upload } = this;
    const ended = upload && ENDED.has(upload.state);
    const plans = !upload && this.sent === null;
    find(".name").textContent = this.name;
    find(".size").textContent = this.file ? size(this.file.size) : "";
    find(".close").textContent = t("closeShort");
    find(".close").setAttribute("aria-label", t("close", this.name));
    find(".understanding").textContent = t("reading");
    find(".understanding").hidden = !plans || this.inspection !== null || this.problem !== null;
    find(".plan").hidden = !plans || !(this.inspection || this.problem);
    find(".work").hidden = plans || ended;
    find(".result").hidden = !ended;
    if (plans) this.renderPlan();
    else if (ended) this.renderResult();
    else this.renderWork();
    this.renderSheets(plans);
  }

  renderPlan() {
    const { find, inspection, problem } = this;
    const form = find(".plan").elements;
    find(".facts").hidden = !inspection;
    find(".actions .primary[type=submit]").disabled = !inspection || problem !== null || inspection.trial.failure !== null;
    this.say(find(".plan .error"), problem?.message ?? inspection?.trial.failure?.message);
    find(".trial").textContent = "";
    if (!inspection) return;
    const { file, trial, fits } = inspection;
    const delimiter = t("delimiters")[file.delimiter] ?? t("between", file.delimiter);
    find(".format").textContent = t("format", file.charset, delimiter, file.columns.length);
    form.topology.replaceChildren(...fits.map((fit) => el("option", { value: fit.topology }, fit.topology)));
    form.topology.value = inspection.topology;
    const topology = this.topologies().find((known) => known.name === inspection.topology);
    this.renderCoordinates(form, topology, trial);
    const named = trial.sheets.slice(0, 6).map((sheet) => el("span", { className: "chip" }, sheet.name));
    const more = trial.sheets.length > 6 ? [t("more", trial.sheets.length - 6)] : [];
    find(".sheets").replaceChildren(el("p", {}, t("by", topology?.sheet ?? "")), ...named, ...more);
    find(".trial").textContent = trial.failure ? "" : this.trialText();
    find(".trial").classList.toggle("some-rejected", trial.rejected > 0);
  }

  renderCoordinates(form, topology, trial) {
    const { find, choice } = this;
    find(".coordinates").hidden = !topology?.crs;
    if (!topology?.crs) {
      find(".columns").textContent = t("noCoordinates");
      return;
    }
    const own = topology.crs.from;
    const others = CRS.filter(([code]) => code !== own);
    const isOther = choice.crs !== "" && !others.some(([code]) => code === choice.crs);
    form.crs.replaceChildren(
      el("option", { value: "" }, t("asTopology", `${own} ${topology.crs.from_name}`)),
      ...others.map(([code, name]) => el("option", { value: code }, `${code} ${name}`)),
      el("option", { value: OTHER }, t("otherCrs")));
    form.crs.value = isOther ? OTHER : choice.crs;
    form["other-crs"].hidden = !isOther;
    const crs = trial.crs ?? topology.crs;
    find(".operation").textContent = t("operation", crs.to, crs.operation, crs.accuracy_m);
    const columns = trial.coordinates.columns.map((name) => el("span", { className: "chip" }, name));
    find(".columns").replaceChildren(...columns, el("p", { className: "detail" }, t("into", trial.coordinates.into.join(", "))));
  }

  trialText() {
    const { trial, is_whole: isWhole } = this.inspection;
    if (trial.failure) return trial.failure.message;
    if (trial.rows === 0) return t("triedNone");
    if (trial.rejected > 0) return t("triedSome", trial.rows, trial.rejected);
    return t(isWhole ? "triedAll" : "tried", trial.rows);
  }

  renderWork() {
    const { find, upload, sent } = this;
    const progress = find("progress");
    progress.setAttribute("aria-labelledby", this.id);
    const set = (value) => (value === null ? progress.removeAttribute("value") : progress.setAttribute("value", String(value)));
    find(".rejects").hidden = true; // those of the trial
    if (!upload) {
      const all = this.file.size;
      find(".stage").textContent = sent < all ? t("sending", sent, all) : t("publishing");
      set(sent < all ? sent / Math.max(1, all) : null);
      find(".pace").textContent = "";
      return;
    }
    const { state, accounting, rows_announced: announced, rows_published: published } = upload;
    const done = accounting.rows_in;
    const all = announced ?? published;
    find(".stage").textContent = state === "PUBLISHING" ? t("publishing") : state === "PENDING" ? t("waiting") : state === "RECEIVING" ? t("working") : t("states")[state];
    set(all ? Math.min(1, done / all) : null);
    const left = upload.estimated_end_ms ? (upload.estimated_end_ms - Date.now()) / 1000 : 0;
    const parts = [t("pace", done, upload.rows_per_second)];
    if (accounting.rejected > 0) parts.push(t("rejectedSoFar", accounting.rejected));
    if (left > 1) parts.push(t("left", left));
    find(".pace").textContent = parts.join(" · ");
    this.say(find(".result .error"), upload.failure?.message);
  }

  verdict() {
    const { state, accounting } = this.upload;
    if (state === "PUBLISHED") {
      return accounting.rejected > 0 ? t("doneRejected", accounting.written, accounting.rejected) : t("done", accounting.written);
    }
    return t({ ABORTED: "aborted", EXPIRED: "expired" }[state] ?? "failed");
  }

  renderResult() {
    const { find, upload } = this;
    find(".verdict").textContent = this.verdict();
    const failure = upload.failure;
    this.say(find(".result .error"), failure && `${this.explain(failure.reason)} ${failure.message}`.trim());
    const link = find(".download");
    link.hidden = !upload.workbook;
    if (upload.workbook) {
      link.href = api.workbookUrl(upload.id);
      link.download = upload.workbook.filename;
      link.textContent = t("download", upload.workbook.filename, upload.workbook.bytes);
    }
    showRejects(find(".rejects"), this.rejected ?? [], this.rejected ? upload.accounting.rejected : 0, this.explain);
  }

  renderSheets(plans) {
    const trial = this.inspection?.trial;
    const sheets = plans ? trial?.sheets ?? [] : this.sheets ?? trial?.sheets ?? [];
    const title = t(plans ? "previewTrial" : "previewOf");
    const marked = trial ? [...trial.coordinates.columns, ...trial.coordinates.into] : [];
    const shown = JSON.stringify([title, sheets]);
    if (shown !== this.shown) showSheets(this.find(".preview"), title, sheets, marked, ROWS_SHOWN);
    this.shown = shown;
    if (plans) showRejects(this.find(".rejects"), trial?.rejects ?? [], trial?.rejected ?? 0, this.explain);
  }

  say(element, text) {
    element.textContent = text ?? "";
    element.hidden = !text;
  }
}

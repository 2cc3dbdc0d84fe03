// An upload of a card: how far it is, and what became of it.

import { workbookUrl } from "./api.js";
import { byReason, say, showRejects } from "./tables.js";
import { remarks, sentence, t } from "./text.js";

/** Shows an upload under way. */
export function showWork(card) {
  const { find, upload, sent } = card;
  const progress = find("progress");
  progress.setAttribute("aria-labelledby", card.id);
  const set = (value) => (value === null ? progress.removeAttribute("value") : progress.setAttribute("value", String(value)));
  find(".refused").hidden = true; // those of the trial
  if (!upload) {
    const all = card.file.size;
    find(".stage").textContent = sent < all ? t("sending", sent, all) : t("publishing");
    set(sent < all ? sent / Math.max(1, all) : null);
    find(".pace").textContent = "";
    say(find(".work .error"), null);
    return;
  }
  const { state, accounting, rows_announced: announced, rows_published: published } = upload;
  const done = accounting.rows_in;
  const all = announced ?? published;
  find(".cancel").hidden = card.isCancelling;
  find(".stage").textContent = card.isCancelling ? t("cancelling") : state === "PUBLISHING" ? t("publishing") : state === "PENDING" ? t("waiting") : state === "RECEIVING" ? t("working") : t("states")[state];
  set(all ? Math.min(1, done / all) : null);
  const left = upload.estimated_end_ms ? (upload.estimated_end_ms - Date.now()) / 1000 : 0;
  const parts = [t("pace", done, upload.rows_per_second)];
  if (accounting.rejected > 0) parts.push(t("rejectedSoFar", accounting.rejected));
  if (left > 1) parts.push(t("left", left));
  if (card.topologies().find(({ name }) => name === upload.topology)?.paused) parts.push(t("paused"));
  find(".pace").textContent = parts.join(" · ");
  say(find(".work .error"), upload.failure?.message ?? (card.failure && sentence(card.failure)));
}

/** What became of an upload, in a sentence. */
export function verdict({ state, accounting }) {
  if (state === "PUBLISHED") {
    if (accounting.written + accounting.filtered === 0 && accounting.rejected > 0) return t("doneNone", accounting.rejected);
    return t("done", accounting.written, accounting.rejected) + remarks(accounting);
  }
  return t({ ABORTED: "aborted", EXPIRED: "expired" }[state] ?? "failed");
}

/** Shows what became of an upload. */
export function showResult(card) {
  const { find, upload } = card;
  find(".verdict").textContent = verdict(upload);
  const isEmpty = upload.accounting.written + upload.accounting.filtered === 0 && upload.accounting.rejected > 0;
  find(".verdict").classList.toggle("some-rejected", isEmpty);
  const earlier = card.file && upload.name && upload.name !== card.file.name;
  find(".earlier").hidden = !earlier;
  find(".earlier").textContent = earlier ? t("earlier", upload.name) : "";
  find(".close").textContent = t("closeDone");
  find(".close").setAttribute("aria-label", `${t("closeDone")}: ${card.name}`);
  const failure = upload.failure;
  say(find(".result .error"), failure && `${card.explain(failure.reason)} ${failure.message}`.trim());
  const link = find(".download");
  link.hidden = !upload.workbook;
  if (upload.workbook) {
    link.href = workbookUrl(upload.id);
    link.download = upload.workbook.filename;
    link.textContent = t("download", upload.workbook.filename, upload.workbook.bytes);
  }
  const rows = card.corrections.shownIn(card.rejected ?? []);
  // Whoever is typing is not disturbed.
  if (find(".rejects").contains(document.activeElement) && document.activeElement.matches("input")) return;
  const editing = card.file && card.inspection ? card.kept() : null;
  showRejects(find(".refused"), card.inOwnWords(rows), upload.accounting.rejected, byReason(rows), card.explain, card.inspection?.file.delimiter, editing);
}

// What the ranking says of a file's CRS: how sure it is, and what to try. No system is called right: all of a family put the points there.

import { el } from "./tables.js";
import { currentLanguage, t } from "./text.js";

/** KATEC has no code of EPSG. */
export const label = (definition) => (definition.startsWith("+proj") ? "KATEC" : definition);

const codes = (systems) => systems.map(({ definition }) => label(definition)).join(", ");

/** "서울, 경기": the ranking looks at a sample, so its counts would say nothing of the file. */
function whereabouts({ areas }) {
  if (areas.length === 0) return t("atSea");
  const names = areas.slice(0, 3).map((area) => area[currentLanguage()]).join(", ");
  return areas.length > 3 ? `${names} ${t("more", areas.length - 3)}` : names;
}

/** The advice for a choice of CRS: a mood, sentences, and systems to try. */
export function advise(ranking, current) {
  const none = { mood: "", sentences: [], offers: [] };
  if (!ranking || ranking.points === 0) return none;
  const [first, ...others] = ranking.families;
  if (!first) return { ...none, mood: "doubt", sentences: [t("fitsNothing")] };
  const has = (family) => family.systems.some(({ definition }) => definition === current);
  const alike = (family) => (family.systems.length > 1 ? [t("alike", codes(family.systems.slice(0, 4)), Math.round(family.spread_m / 10) * 10)] : []);
  const offer = (family, { definition } = family.systems[0]) => ({ definition, isSwapped: family.is_swapped, text: t(family.is_swapped ? "offerSwapped" : "offer", label(definition), whereabouts(family)) });
  // As `Ranking::contradiction` has it.
  const isElsewhere = first.as_named !== null && first.as_named < 0.5;
  const contradiction = ranking.contradicted_by ? [t("contradicted", label(ranking.header), label(ranking.contradicted_by))] : isElsewhere ? [t("namedElsewhere", label(first.systems[0].definition))] : [];
  const swapped = first.is_swapped ? [t("swapped")] : [];
  if (has(first) && !first.is_swapped) {
    // Within a family only the header decides.
    const named = first.systems.find(({ definition }) => definition === ranking.header);
    if (named && named.definition !== current) {
      return { mood: "doubt", sentences: [t("headerNames", label(named.definition)), ...alike(first)], offers: [offer(first, named)] };
    }
    if (ranking.certainty === "declared") {
      const fitting = others.find((family) => family.systems[0].definition === ranking.contradicted_by);
      return { mood: fitting ? "doubt" : "good", sentences: [t("declared", label(current), whereabouts(first)), ...contradiction], offers: fitting ? [offer(fitting)] : [] };
    }
    if (ranking.certainty === "places") return { mood: "good", sentences: [t("asNamed", label(current), whereabouts(first)), ...alike(first), ...contradiction], offers: [] };
    if (ranking.certainty === "ambiguous") return { mood: "doubt", sentences: [t("ambiguous", label(current), whereabouts(first))], offers: others.filter((family) => !family.is_swapped).slice(0, 3).map((family) => offer(family)) };
    return { mood: isElsewhere ? "doubt" : "good", sentences: [t("onLand", label(current), whereabouts(first)), ...alike(first), ...contradiction], offers: [] };
  }
  const rivals = ranking.certainty === "ambiguous" ? others.slice(0, 2) : [];
  const offers = [first, ...rivals].filter((family) => family.is_swapped || !has(family)).map((family) => offer(family));
  const sentence = ranking.certainty === "declared" ? t("declared", label(ranking.header), whereabouts(first)) : ranking.certainty === "ambiguous" ? t("perhaps") : t(ranking.header === first.systems[0].definition ? "headerSays" : "elsewhere", label(first.systems[0].definition), whereabouts(first), current ? label(current) : "");
  return { mood: "doubt", sentences: [...swapped, ...(first.is_swapped ? [] : [sentence, ...alike(first)]), ...contradiction], offers };
}

/** Shows it; `apply` is called with the system to try. */
export function showAdvice(into, advice, apply) {
  into.hidden = advice.sentences.length === 0;
  into.className = `advice ${advice.mood}`;
  const buttons = advice.offers.map((one) => el("button", { type: "button", className: "secondary small", onclick: () => apply(one) }, one.text));
  into.replaceChildren(...advice.sentences.map((sentence) => el("p", {}, sentence)), ...(buttons.length ? [el("p", { className: "actions" }, ...buttons)] : []));
}

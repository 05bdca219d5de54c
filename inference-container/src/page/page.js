"use strict";

// Whatever comes from a caller or from the server enters the page as text, never as markup.

const LEVELS = ["segment", "family", "class", "commodity"];

const MODES = {
  text: {
    prompt: "Description of a good or a service",
    placeholder: "toner cartridge magenta",
    rows: 3,
    answer: describe,
    examples: ["toner cartridge magenta", "monthly office cleaning service, two floors", "bolt hex M8 stainless A2",
      "prepared entrees of pork, fish, game or poultry"],
  },
  statement: {
    prompt: "Statement of goods and services",
    placeholder: "Class 30: coffee, tea and cocoa; bread, excluding rolls",
    rows: 6,
    answer: profile,
    examples: ["Edible sandwiches, coffee, tea, cocoa; bread, biscuits; cleaning services",
      "Class 25: Clothing, namely, shirts, hats and shoes. Class 35: Advertising; retail services relating to clothing",
      "Pharmaceutical preparations; disinfectants, other than for veterinary use; surgical instruments; "
        + "all the aforesaid for use in hospitals"],
  },
};

/** Longest text that the address holds: all browsers and most chats take such an address. */
const MAX_ADDRESS = 8000;

/** Ends the requests under way where others take their place. */
let pending = new AbortController();

const find = (id) => document.getElementById(id);
const mode = () => find("form").elements.mode.value;
const depth = () => find("form").elements.depth.value;
const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** An element with properties; children that are strings become text. */
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** What the server says, with the milliseconds that it took; ends early with `signal`. */
async function ask(body, signal) {
  const began = performance.now();
  const response = await fetch("invocations", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Accept": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const answer = await response.json();
  if (!response.ok) {
    throw Object.assign(new Error(answer.error.message), { code: answer.error.code, retry: answer.error.retry_after });
  }
  return { answer, milliseconds: performance.now() - began };
}

const capitalised = (word) => word[0].toUpperCase() + word.slice(1);

/** The path to a description's code, and the candidates of each level. */
async function describe(description, signal) {
  const request = { description, depth: depth(), by_level: true, logits: false };
  const { answer: best, milliseconds } = await ask(request, signal);
  const { path = [], by_level: candidates, top_k: labels } = best;
  const badges = [
    best.needs_review && "needs review",
    best.truncated && "longer than the model reads: its end was not seen",
  ].filter(Boolean);
  const nodes = [
    element("div", { className: "best" },
      element("p", { className: "title" }, best.title ?? best.label),
      element("p", {}, ...(best.title ? [element("code", {}, best.label), " · "] : []),
        ...(best.level ? [`${best.level} · `] : []), `probability ${percent(best.probability)}`),
      ...badges.map((badge) => element("span", { className: "badge issue" }, badge))),
    ...(path.length > 0 ? pathBars(path, best) : barList("Label", labels, [best])),
    ...LEVELS.filter((level) => candidates[level]?.length > 0).flatMap((level) =>
      barList(capitalised(level), candidates[level], path)),
  ];
  return { nodes, milliseconds, summary: `${best.title ?? best.label}, ${percent(best.probability)}` };
}

/** The steps from the segment down; those to the answer stand out. */
function pathBars(path, best) {
  const answered = path.findIndex(({ label }) => label === best.label);
  const steps = path.map(({ level, label, title, probability }, place) =>
    bar(probability, place <= answered ? "on" : "", element("span", { className: "level" }, capitalised(level)),
      element("span", {}, `${title ?? ""} `, element("code", {}, label))));
  const note = "Bold: the steps to the answer. A step below it is the most probable one there.";
  return [element("h2", {}, "The path"), element("ol", { className: "bars path" }, ...steps),
    element("p", { className: "note" }, note)];
}

/** Labels with their probabilities; those that are also in `chosen` stand out. */
function barList(name, candidates, chosen) {
  const isChosen = ({ label }) => chosen.some((step) => step.label === label);
  const bars = candidates.map((candidate) =>
    bar(candidate.probability, isChosen(candidate) ? "on" : "", element("code", {}, candidate.label),
      element("span", {}, candidate.title ?? "")));
  return [element("h2", {}, name), element("ol", { className: "bars" }, ...bars)];
}

function bar(share, className, ...name) {
  const fill = element("i", {});
  fill.style.width = `${100 * share}%`;
  const figure = element("span", { className: "percent" }, percent(share));
  const line = element("div", { className: "name" }, ...name, figure);
  const rail = element("div", { className: "bar", ariaHidden: "true" }, fill);
  return element("li", { className }, line, rail);
}

/** A statement's goods by segment. */
async function profile(statement, signal) {
  const { answer, milliseconds } = await ask({ statement, top_k: 1, depth: depth() }, signal);
  const { profile: { segments, other, needs_review: unsure, failed }, items, remarks } = answer;
  const ranks = new Map(segments.flatMap((segment, rank) => segment.items.map((place) => [place, rank + 1])));
  const nodes = [
    element("h2", {}, "The statement"),
    element("p", { className: "statement" }, ...markedStatement(statement, answer, ranks)),
    element("p", { className: "note" }, "Numbers are those of the segments below; dashed needs review, "
      + "! was not classified, struck out names no goods."),
    element("h2", {}, "The mark's profile"),
    element("ol", { className: "bars profile" },
      ...segments.map((segment, place) => segmentBar(segment, place + 1, items))),
    element("p", { className: "note" }, "A share is the mean of all items' probabilities of the segment; "
      + `segments that are not listed have ${percent(other)} together.`),
    ...partList("Needs review", unsure.map((place) => itemLine(items[place]))),
    ...partList("Not classified", failed.map((place) => itemLine(items[place]))),
    ...partList("Names no goods", remarks.map(({ kind, text }) => `${kind}: ${text}`)),
  ];
  const held = segments.filter((segment) => segment.items.length > 0);
  const counts = [plural(items.length, "item"), plural(held.length, "segment")];
  return { nodes, milliseconds, summary: counts.join(" in ") };
}

const hue = (rank) => (rank ? `hue-${Math.min(rank, 6)}` : "");

/** The statement's text with its items and remarks marked; the server counts characters, as `Array.from` does. */
function markedStatement(statement, { profile: { needs_review: unsure }, items, remarks }, ranks) {
  const doubtful = new Set(unsure);
  const characters = Array.from(statement);
  const slice = (start, end) => characters.slice(start, end).join("");
  const withRemarks = (start, end) => {
    const nodes = [];
    for (const remark of remarks.filter((remark) => remark.start < end && remark.end > start)) {
      const from = Math.max(start, remark.start);
      const to = Math.min(end, remark.end);
      nodes.push(slice(start, from), element("s", { title: remark.kind }, slice(from, to)));
      start = Math.max(start, to);
    }
    return [...nodes, slice(start, end)];
  };
  const nodes = [];
  let end = 0;
  items.forEach((item, place) => {
    const rank = ranks.get(place);
    const state = item.error ? "failed" : doubtful.has(place) ? "review" : "";
    const mark = element("mark", { className: `${hue(rank)} ${state}`, title: itemLine(item) },
      ...withRemarks(item.start, item.end), element("sup", {}, rank ? String(rank) : "!"));
    nodes.push(...withRemarks(end, item.start), mark);
    end = item.end;
  });
  return [...nodes, ...withRemarks(end, characters.length)];
}

/** An item with what it was taken for. */
function itemLine(item) {
  const result = item.error ? item.error.message : `${item.title ?? item.label}, ${percent(item.probability)}`;
  return `${item.classified} → ${result}`;
}

function segmentBar(segment, rank, items) {
  const row = bar(segment.share, hue(rank), element("span", { className: "rank" }, String(rank)),
    element("span", {}, `${segment.title ?? ""} `, element("code", {}, segment.label)));
  const lines = segment.items.map((place) =>
    element("li", {}, `${items[place].classified} · ${percent(items[place].probability)}`));
  if (lines.length > 0) {
    row.append(element("details", {}, element("summary", {}, plural(lines.length, "item")),
      element("ul", { className: "parts" }, ...lines)));
  }
  return row;
}

function partList(title, lines) {
  const entries = lines.map((line) => element("li", {}, line));
  return lines.length ? [element("h2", {}, title), element("ul", { className: "parts" }, ...entries)] : [];
}

/** Classifies what is in the field, and says so in the address. */
async function classify() {
  const [form, text] = [mode(), find("text").value];
  pending.abort();
  pending = new AbortController();
  const { signal } = pending;
  const held = new URLSearchParams({ [form]: text, ...(depth() === "auto" ? {} : { depth: depth() }) });
  history.replaceState(null, "", `#${text.length > MAX_ADDRESS ? "" : held}`);
  find("error").hidden = true;
  find("status").textContent = "Classifying …";
  find("result").setAttribute("aria-busy", "true");
  try {
    const { nodes, milliseconds, summary } = await MODES[form].answer(text, signal);
    if (signal.aborted) {
      return;
    }
    find("result").replaceChildren(...nodes);
    find("status").textContent = `${summary} · answered in ${milliseconds.toFixed(1)} ms, network included`;
    find("result").hidden = false;
  } catch (error) {
    if (signal.aborted) {
      return;
    }
    const again = error.retry ? ` Try again in ${error.retry} s.` : "";
    find("error").textContent = `${error.message}${error.code ? ` (${error.code})` : ""}.${again}`;
    find("error").hidden = false;
    find("status").textContent = "";
    find("result").hidden = true;
  }
  find("result").removeAttribute("aria-busy");
}

/** Shows the field and the examples of the mode that is chosen. */
function showMode() {
  const { prompt, placeholder, rows, examples } = MODES[mode()];
  find("prompt").textContent = prompt;
  Object.assign(find("text"), { placeholder, rows });
  find("examples").replaceChildren(...examples.map((example) => {
    const shown = example.length > 48 ? `${example.slice(0, 46)} …` : example;
    const use = () => {
      find("text").value = example;
      classify();
    };
    return element("button", { type: "button", title: example, onclick: use }, shown);
  }));
}

/** Classifies what the address holds: `#text=…` or `#statement=…`, and `&depth=…`. */
function openAddress() {
  const held = new URLSearchParams(location.hash.slice(1));
  const form = Object.keys(MODES).find((name) => held.get(name));
  const known = form !== undefined;
  if (known) {
    find("form").elements.mode.value = form;
    find("form").elements.depth.value = LEVELS.find((level) => level === held.get("depth")) ?? "auto";
    find("text").value = held.get(form);
  }
  showMode();
  if (known) {
    classify();
  }
}

find("form").addEventListener("submit", (event) => {
  event.preventDefault();
  classify();
});
find("form").addEventListener("change", (event) => {
  if (event.target.name === "mode") {
    showMode();
  } else if (event.target.name === "depth" && find("text").value.trim()) {
    classify();
  }
});
find("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    find("form").requestSubmit();
  }
});
addEventListener("hashchange", openAddress);
openAddress();

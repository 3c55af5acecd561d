"use strict";
const BATCH = 100;
const SIDES = ["A", "B"];
const WHOLE = /\.(max_mse|median_mse|selectivity)$|^validation\./;
const LARGEST_FIRST = ["ran", "held", "selectivity", "started", "seconds"];
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const body = document.querySelector("#list tbody");
const collator = new Intl.Collator("en", { numeric: true });
const rows = new Map();
let order = { key: "started", direction: -1 };
let picked = [];
let shown = [];
let rendered = 0;

for (const run of data.runs) {
  run.held = run.of ? run.passed / run.of : undefined;
  run.words = [run.recipe, run.title, run.path, run.state, run.error, run.kind].join("\n").toLowerCase();
}

/** A measured value in three significant digits, as the reports write it. */
function number(value) {
  if (value === null || value === undefined) return "n/a";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000 && size < 1e6) return value.toFixed(0);
  return size < 1e-3 || size >= 1e6 ? value.toExponential(2).replace("e+", "e") : value.toPrecision(3);
}

/** An element with its attributes and children; texts are only ever texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const nameOf = (run) => `${run.recipe} · ${run.id}`;
const linkTo = (run) => (run.report ? `${run.href}/${run.report}` : `${run.href}/`);

/** A figure of a run for a light and a dark page; it is fetched when it comes into view. */
function picture(run, [name, file], alt) {
  const source = make("source", {
    media: "screen and (prefers-color-scheme: dark)",
    srcset: `${run.href}/figures/${file}.dark.png`,
  });
  return make("picture", {}, source, make("img", { loading: "lazy", alt, src: `${run.href}/figures/${file}.png` }));
}

function rowOf(run) {
  if (rows.has(run)) return rows.get(run);
  const row = at("row").content.firstElementChild.cloneNode(true);
  const find = (selector) => row.querySelector(selector);
  const box = find("input");
  box.setAttribute("aria-label", `compare ${nameOf(run)}`);
  box.addEventListener("change", () => pick(run, box.checked));
  if (run.thumbnail !== undefined) {
    find(".thumbnail").append(picture(run, data.figures[run.figures][run.thumbnail], ""));
  }
  const link = find(".name");
  link.textContent = run.recipe + (run.title ? ` · ${run.title}` : "");
  link.href = linkTo(run);
  find(".id").textContent = run.path;
  find(".error").textContent = run.error || "";
  const [state, seeds, claims, before, after, selectivity, started, took] = [...row.children].slice(2);
  state.textContent = run.state;
  if (run.state === "failed") state.classList.add("failed");
  if (run.asked) seeds.textContent = run.ran === run.asked ? run.ran : `${run.ran} of ${run.asked}`;
  if (run.of) {
    const whole = run.passed === run.of;
    claims.append(make("span", { class: whole ? "passed whole" : "failed whole" }, `${run.passed} of ${run.of}`));
    if (run.units !== "claims") claims.append(make("span", { class: "small" }, run.units));
  }
  for (const [cell, value] of [[before, run.before], [after, run.after], [selectivity, run.selectivity]]) {
    if (value !== undefined) cell.textContent = number(value);
  }
  started.textContent = run.when;
  took.textContent = run.took || "";
  rows.set(run, row);
  return row;
}

/** The next rows; a thousand at once would keep the reader waiting. */
function grow() {
  const next = shown.slice(rendered, rendered + BATCH);
  body.append(...next.map(rowOf));
  rendered += next.length;
  const left = shown.length - rendered;
  at("more").hidden = !left;
  at("more").textContent = `Show ${Math.min(BATCH, left)} more (${left} left)`;
}

function show() {
  const words = at("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const [recipe, state, claims] = ["recipe", "state", "claims"].map((id) => at(id).value);
  shown = data.runs.filter(
    (run) =>
      words.every((word) => run.words.includes(word)) &&
      (!recipe || run.recipe === recipe) &&
      (!state || run.state === state) &&
      (!claims || claims === (run.of ? (run.passed === run.of ? "held" : "broken") : "none")),
  );
  const { key, direction } = order;
  const value = (run) => (key === "recipe" ? `${run.recipe}\n${run.path}` : run[key]);
  shown.sort((one, other) => {
    const [first, second] = [value(one), value(other)];
    if (first === undefined || second === undefined) return (first === undefined) - (second === undefined);
    return direction * (typeof first === "string" ? collator.compare(first, second) : first - second);
  });
  for (const button of document.querySelectorAll("#list thead button")) {
    const heading = button.parentElement;
    if (button.dataset.key === key) heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    else heading.removeAttribute("aria-sort");
  }
  body.replaceChildren();
  rendered = 0;
  grow();
  const all = data.runs.length;
  at("count").textContent = shown.length === all ? `${all} shown` : `${shown.length} of ${all} shown`;
}

function pick(run, wanted) {
  picked = picked.filter((other) => other !== run);
  if (wanted) picked.push(run);
  for (const dropped of picked.splice(0, picked.length - 2)) rowOf(dropped).querySelector("input").checked = false;
  at("tray").hidden = !picked.length;
  at("compare").disabled = picked.length < 2;
  const names = picked.map(nameOf).join(" and ");
  at("tray").firstElementChild.textContent = picked.length < 2 ? `${names}; pick another to compare` : names;
}

/** The whole spec of a run, from that of its recipe's first run and what differs. */
function specOf(run) {
  const [base, changes] = run.spec;
  const spec = { ...data.specs[base] };
  for (const [place, value] of Object.entries(changes)) {
    if (value.length) spec[place] = value[0];
    else delete spec[place];
  }
  return spec;
}

const inWords = (value) =>
  value === undefined ? "nothing" : typeof value === "string" ? value : JSON.stringify(value);

/** A table of rows [name, one, other, ...]; nothing where there is no row. */
function table(headings, rows, numeric) {
  if (!rows.length) return make("p", { class: "muted" }, "None.");
  const kind = numeric ? { class: "n" } : {};
  const head = headings.map((text, index) => make("th", { scope: "col", ...(index ? kind : {}) }, text));
  const lines = rows.map(([name, ...cells]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...cells.map((cell) => make("td", kind, cell))),
  );
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines));
}

function compare() {
  const [one, other] = picked;
  const pair = [one, other];
  const names = pair.map(nameOf);
  const all = (lists) => [...new Set(lists.flat())];
  const facts = [
    ["title", (run) => run.title || ""],
    ["status", (run) => run.state + (run.error ? `: ${run.error}` : "")],
    ["seeds", (run) => (run.asked ? String(run.ran) : "")],
    ["claims", (run) => (run.of ? `${run.passed} of ${run.of} ${run.units}` : "")],
    ["started", (run) => run.when],
    ["took", (run) => run.took || ""],
  ];
  const measured = pair.map((run) => new Map(data.keys[run.keys].map((key, index) => [key, run.numbers[index]])));
  const rowsOf = (wanted) => all(measured.map((values) => [...values.keys()])).filter((key) => WHOLE.test(key) === wanted).map((key) => {
    const [first, second] = measured.map((values) => values.get(key));
    const both = typeof first === "number" && typeof second === "number";
    const sign = both && second > first ? "+" : "";
    return [key.replace(".", ", ").replace("max_mse", "largest error").replace("median_mse", "median error"),
      number(first), number(second), both ? sign + number(second - first).replace("-", "−") : ""];
  });
  const verdicts = pair.map((run) => new Map(run.claims.map(([claim, ...verdict]) => [claim, verdict])));
  const claims = all(verdicts.map((values) => [...values.keys()])).map((claim) => [
    data.claims[claim],
    ...verdicts.map((values) => {
      if (!values.has(claim)) return "";
      const [passed, of, value] = values.get(claim);
      const text = of === 1 ? (passed ? "holds" : "does not hold") : `holds in ${passed} of ${of}`;
      const whole = make("span", { class: passed === of ? "passed" : "failed" }, text);
      return make("span", {}, whole, make("span", { class: "small" }, number(value)));
    }),
  ]);
  const specs = pair.map(specOf);
  const differences = all(specs.map(Object.keys))
    .filter((place) => JSON.stringify(specs[0][place]) !== JSON.stringify(specs[1][place]))
    .map((place) => [place, ...specs.map((spec) => inWords(spec[place]))]);
  const drawn = pair.map((run) => new Map(data.figures[run.figures].map((figure) => [figure[0], figure])));
  const figures = all(drawn.map((figure) => [...figure.keys()])).map((name) =>
    make("div", { class: "pair" }, ...pair.map((run, index) => {
      const figure = drawn[index].get(name);
      const caption = make("figcaption", {}, `${name}, ${SIDES[index]}${figure ? "" : ": there is none"}`);
      return make("figure", {}, ...(figure ? [picture(run, figure, `${name} of ${names[index]}; its report describes it`)] : []), caption);
    })),
  );
  const close = make("button", { type: "button" }, "Close");
  close.addEventListener("click", () => at("comparison").close());
  const links = pair.map((run, index) => make("a", { href: linkTo(run) }, names[index]));
  const medians = pair.some((run) => run.kind === "sweep") ? " Numbers of a sweep are medians over its seeds." : "";
  const headings = ["", ...SIDES, "B − A"];
  const single = rowsOf(false);
  const colors = make("details", {}, make("summary", {}, `Each named colour (${single.length})`), table(headings, single, true));
  const content = at("comparison").firstElementChild;
  content.replaceChildren(
    make("header", {}, make("h2", { id: "comparison-title" }, "Two runs beside each other"), close),
    table(["", ...links.map((link, index) => make("span", {}, `${SIDES[index]}: `, link))], facts.map(([name, fact]) => [name, ...pair.map(fact)])),
    make("h3", {}, "Claims"), table(["claim", ...SIDES], claims),
    make("h3", {}, "Numbers"), make("p", { class: "muted" }, `Errors are mean squared errors.${medians}`),
    table(headings, rowsOf(true), true), ...(single.length ? [colors] : []),
    make("h3", {}, "Where the specs differ"), table(["", ...SIDES], differences),
    make("h3", {}, "Figures"), ...(figures.length ? figures : [make("p", { class: "muted" }, "None.")]),
  );
  at("comparison").showModal();
  content.focus();
  at("comparison").scrollTop = 0;
}

at("filters").addEventListener("submit", (event) => event.preventDefault());
at("filters").addEventListener("input", show);
document.querySelector("#list thead").addEventListener("click", (event) => {
  const key = event.target.dataset.key;
  if (!key) return;
  const first = LARGEST_FIRST.includes(key) ? -1 : 1;
  order = { key, direction: order.key === key ? -order.direction : first };
  show();
});
at("more").addEventListener("click", grow);
new IntersectionObserver(([entry]) => entry.isIntersecting && rendered < shown.length && grow(), {
  rootMargin: "400px",
}).observe(at("more"));
at("compare").addEventListener("click", compare);
at("clear").addEventListener("click", () => {
  for (const run of picked) rowOf(run).querySelector("input").checked = false;
  picked = [];
  at("tray").hidden = true;
  at("words").focus();
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type=search], select, textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || at("comparison").open) return;
  event.preventDefault();
  at("words").focus();
});
show();

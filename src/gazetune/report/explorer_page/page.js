// The page: what a change of the state draws, and what the controls change.

function keepAddress() {
  const text = written();
  if (text !== location.hash.slice(1)) history.replaceState(null, "", `#${text}`);
}

function drawImage() {
  drawFacts();
  fillObservers();
  drawStage();
  drawNumbers();
}

function show(image, focused) {
  state.image = table.images[image] ?? "";
  markRows();
  scrollToCurrent();
  markRows();
  drawImage();
  keepAddress();
  const next = shown[shown.indexOf(image) + 1];
  if (next !== undefined && table.pictures[next]) new Image().src = table.pictures[next];
  if (focused) list.focus({ preventScroll: true });
}

// After a change of order or filters; keeps the image where it still passes, unless the first is asked for.
function arrange(first) {
  shown = arranged();
  list.scrollTop = 0;
  const there = !first && shown.includes(imageNow());
  redrawList();
  show(there ? imageNow() : shown[0]);
  markCases();
}

function fillControls() {
  const choices = choicesOf(), pair = Object.fromEntries(table.pairs.map((p) => [p.id, p]));
  const name = (key) => table.rows[key];
  const answerName = (id) => {
    const [how, of] = [id.slice(0, id.indexOf(" ")), id.slice(id.indexOf(" ") + 1)];
    if (how === "right" || how === "wrong") return `${name(of)} ${how}`;
    const [first, second] = [name(pair[of].first), name(pair[of].second)];
    return how === "lost" ? `${first} wrong, ${second} right` : `${first} right, ${second} wrong`;
  };
  const called = { size: (id) => ({ small: "small (below 32² px)", medium: "medium", large: "large (above 96² px)" })[id], answer: answerName };
  for (const [filter, values] of Object.entries(choices)) {
    at(filter).parentElement.hidden = values.length < 2;
    fill(at(filter), values.map((id) => ({ id, label: id ? called[filter]?.(id) ?? id : "any" })));
  }
  for (const side of ["left", "right"]) fill(at(side), layers());
  fill(at("kind"), [...table.measures.map((m) => ({ id: m.kind, label: m.label })), { id: "name", label: "Name" }]);
  const cases = casesOf();
  at("cases").replaceChildren(...cases.map(({ label, change }) => {
    const button = element("button", "", label);
    button.type = "button";
    button.addEventListener("click", () => { Object.assign(state, noFilter(), change); fromState(); arrange(true); });
    return button;
  }));
}

const noFilter = () => Object.fromEntries(FILTERS.map((name) => [name, ""]));

// Views that are one click away.
function casesOf() {
  const found = [], pair = table.pairs[0], { right } = atFirst(), has = (kind) => table.measures.some((m) => m.kind === kind);
  const by = (kind, of, order, more) => ({ kind, of, order, ...more });
  if (pair && has("gain")) found.push({ label: "Largest gain", change: by("gain", pair.id, "down") }, { label: "Largest loss", change: by("gain", pair.id, "up") });
  if (has("cc")) found.push({ label: `Worst of ${table.rows[right]}`, change: by("cc", right, "up") });
  if (has("consistency")) found.push({ label: "Observers disagree", change: by("consistency", "", "up") });
  if (pair && table.answers[pair.first] && table.answers[pair.second]) {
    const change = by(has("gain") ? "gain" : "name", has("gain") ? pair.id : "", "up", { answer: `lost ${pair.id}` });
    found.push({ label: "Newly wrong", change });
  }
  return found;
}

function markCases() {
  const cases = casesOf();
  [...at("cases").children].forEach((button, i) => {
    const on = Object.entries({ ...noFilter(), ...cases[i].change }).every(([name, value]) => state[name] === value);
    button.setAttribute("aria-pressed", on);
  });
}

// The controls as the state says.
function fromState() {
  const of = ofs(state.kind);
  fill(at("of"), of);
  at("of-field").hidden = !of.length;
  for (const name of ["left", "right", "wipe", "opacity", "kind", "of", "order", ...FILTERS]) at(name).value = state[name];
  if (FILTERS.some((name) => state[name])) at("filters").open = true;
}

function restore() {
  state = fromAddress();
  fillControls();
  fromState();
  shown = arranged();
  redrawList();
  const wanted = table.images.indexOf(state.image);
  show(wanted >= 0 ? wanted : shown[0]);
  markCases();
}

function openSet(name) {
  set = about.datasets.find((one) => one.name === name) ?? about.datasets[0];
  table = undefined;
  document.querySelector("main").inert = true; // until there is something to choose from
  load(set, "table", () => {
    table = parts[set.name].table;
    column = Object.fromEntries(table.numbers.map((c) => [`${c.kind} ${c.of}`, numbersOf(c.values, Float32Array)]));
    fixations = undefined;
    at("dataset").value = set.name;
    const n = (number) => number.toLocaleString("en");
    const some = set.shown < set.usable ? `${n(set.shown)} of ${n(set.usable)} test images, evenly chosen` : `${n(set.shown)} test images`;
    at("count").textContent = `${set.name}: ${some}${set.left_out ? `; ${n(set.left_out)} left out (see report.html)` : ""}`;
    document.querySelector("main").inert = false;
    restore();
    performance.mark("listed");
    const here = set;
    // after the list is on the screen
    requestAnimationFrame(() => setTimeout(() => {
      load(here, "maps", () => { if (here === set) { drawStage(); performance.mark("maps"); } });
      load(here, "fixations", () => { if (here === set) { takeFixations(parts[here.name].fixations); drawImage(); performance.mark("fixations"); } });
    }));
  });
}

function step(by) {
  if (!shown.length) return;
  const place = shown.indexOf(imageNow());
  show(shown[Math.min(shown.length - 1, Math.max(0, place + by))]);
}

function pick(image, yes) {
  if (image < 0) return;
  if (yes) picked.add(image);
  else picked.delete(image);
  markRows();
  keepAddress();
}

function download() {
  const images = picked.size ? [...shown.filter((i) => picked.has(i)), ...[...picked].filter((i) => !shown.includes(i))] : shown;
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([csvOf(images)], { type: "text/csv;charset=utf-8" }));
  link.download = `${about.run}-${set.name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function listen() {
  const changes = (names, event, then) => names.forEach((name) => at(name).addEventListener(event, () => {
    state[name] = NUMBERS.includes(name) ? Number(at(name).value) : at(name).value;
    then(name);
  }));
  changes(["left", "right"], "change", () => { drawStage(); keepAddress(); });
  changes(NUMBERS, "input", () => { drawWipe(); keepAddress(); });
  changes(["observer"], "change", () => { drawStage(); keepAddress(); });
  changes(["kind", "of", "order"], "change", () => {
    const of = ofs(state.kind).map((o) => o.id);
    if (!of.includes(state.of)) state.of = of[0] ?? "";
    fromState();
    arrange(true);
  });
  changes(FILTERS, "input", () => arrange());
  at("all").addEventListener("click", () => { Object.assign(state, noFilter()); fromState(); arrange(); });
  at("dataset").addEventListener("change", () => { history.replaceState(null, "", `#data=${at("dataset").value}`); openSet(at("dataset").value); });
  at("pick").addEventListener("change", () => pick(imageNow(), at("pick").checked));
  at("pick-all").addEventListener("click", () => { shown.forEach((i) => picked.add(i)); markRows(); keepAddress(); });
  at("pick-none").addEventListener("click", () => { picked.clear(); markRows(); keepAddress(); });
  at("csv").addEventListener("click", download);
  list.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (!row) return;
    const image = shown[Number(row.dataset.place)];
    if (event.target.closest(".box")) pick(image, !picked.has(image));
    else show(image, true);
    if (!event.target.closest(".box") && matchMedia("(max-width: 820px)").matches) at("viewer").scrollIntoView();
  });
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => {
    const wanted = new URLSearchParams(location.hash.slice(1)).get("data") ?? about.datasets[0].name;
    if (wanted !== set.name && about.datasets.some((one) => one.name === wanted)) openSet(wanted);
    else if (table && written() !== location.hash.slice(1)) restore();
  });
  addEventListener("resize", () => { if (table) { drawPoints(); drawRows(); loadPhotos(); } });
  listenToStage();
}

function onKey(event) {
  if (!table || event.ctrlKey || event.metaKey || event.altKey) return;
  const inList = event.target === list;
  if (!inList && event.target.closest("input, select, textarea, #numbers, summary")) return;
  const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
  const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
  if (inList) Object.assign(steps, { PageDown: page, PageUp: -page });
  if (event.key in steps) step(steps[event.key]);
  else if (event.key === " " && inList) pick(imageNow(), !picked.has(imageNow()));
  else return;
  event.preventDefault();
}

function listenToStage() {
  const stage = at("stage");
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    state.wipe = Math.round(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
    at("wipe").value = state.wipe;
    drawWipe();
    keepAddress();
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); follow(event); });
  stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) follow(event); });
}

const explorer = { take, layerOf, csvOf };
at("dataset-field").hidden = about.datasets.length < 2;
fill(at("dataset"), about.datasets.map((one) => ({ id: one.name, label: one.name })));
listen();
openSet(new URLSearchParams(location.hash.slice(1)).get("data"));

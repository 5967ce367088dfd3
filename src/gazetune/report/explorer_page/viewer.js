// The viewer: the photo under two layers with a wipe between them, fixations, and the scores of the image.

const OBSERVERS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#FFFFFF"]; // Okabe & Ito (2008)
const EVERYBODY = "everybody"; // of `observer`; else "is NAME", or "" for nobody
const FEW_POINTS = 1000; // more are drawn smaller
const at = (id) => document.getElementById(id);
let fixations;

const imageNow = () => table.images.indexOf(state.image);

// Everything that can lie on a side of the wipe.
function layers() {
  const models = Object.keys(about.roles), maps = ["human", ...models];
  const differences = table.pairs.filter((p) => maps.includes(p.first) && maps.includes(p.second)).map((p) => [p.first, p.second]);
  differences.push(...models.map((key) => [key, "human"]));
  return [
    { id: "photo", label: "photo", group: "" }, ...maps.map((id) => ({ id, label: table.rows[id], group: "Maps" })),
    ...differences.map(([a, b]) => ({ id: `${a} ${DIFFERENCE} ${b}`, label: `${table.rows[a]} − ${table.rows[b]}`, group: "Differences" })),
  ];
}

// Options of a select; `choices`: {id, label, group}.
function fill(select, choices) {
  select.replaceChildren();
  let group = select;
  for (const { id, label, group: name } of choices) {
    if (name && group.label !== name) {
      group = document.createElement("optgroup");
      group.label = name;
      select.append(group);
    }
    (name ? group : select).append(new Option(label, id));
  }
}

function drawSide(side) {
  const image = imageNow(), id = state[side], pane = at(`pane-${side}`), canvas = pane.querySelector("canvas");
  const photo = pane.querySelector("img"), source = table.pictures[image] ?? "";
  if (photo.getAttribute("src") !== source) {
    if (source) photo.src = source;
    else photo.removeAttribute("src");
  }
  photo.hidden = !source;
  const layer = id === "photo" || image < 0 ? null : layerOf(set.name, id, image);
  pane.classList.toggle("map", layer !== null);
  paint(canvas, layer);
  at(`tag-${side}`).textContent = layers().find((l) => l.id === id).label;
  return layer;
}

// What wipe and opacity change; nothing is painted anew.
function drawWipe() {
  at("pane-right").style.clipPath = `inset(0 0 0 ${state.wipe}%)`;
  at("edge").style.left = `${state.wipe}%`;
  for (const side of ["left", "right"]) {
    const pane = at(`pane-${side}`), alone = pane.querySelector("img").hidden; // without a photo a map is opaque
    pane.querySelector("canvas").style.opacity = alone ? 1 : state.opacity / 100;
  }
}

function drawStage() {
  const image = imageNow(), ready = parts[set.name]?.maps;
  const aspect = image < 0 ? 4 / 3 : table.width[image] / table.height[image];
  at("stage").style.setProperty("--aspect", aspect);
  at("stage").style.setProperty("aspect-ratio", aspect);
  const found = { left: drawSide("left"), right: drawSide("right") };
  drawWipe();
  const notes = [];
  for (const side of ["left", "right"]) {
    if (state[side] === "photo" || found[side] || !ready || image < 0) continue;
    const keys = state[side].split(` ${DIFFERENCE} `);
    const why = keys.map((key) => table.reasons[key]?.[image]).find((reason) => reason) ?? "constant map";
    notes.push(`No ${at(`tag-${side}`).textContent} map: ${why}.`);
  }
  if (!ready) notes.push("Maps are being read …");
  if (image >= 0 && !table.pictures[image]) notes.push("No photo.");
  const said = drawPoints();
  at("note").textContent = [...new Set(notes), said].filter((note) => note).join(" ");
  drawBars(found);
}

function drawBars(found) {
  const kinds = [...new Set(Object.values(found).filter((l) => l).map((l) => l.shades))].sort().reverse();
  const about_ = { map: [["0, least", "map of an image, scaled to 0..1", "1, most"], "map"], difference: [["−1, less", "0: difference of two maps", "more, +1"], "difference"] };
  at("bars").replaceChildren(...kinds.map((kind) => {
    const bar = element("div", "bar"), colours = element("div", "shades"), ends = element("div", "ends");
    colours.style.background = gradient(kind);
    ends.append(...about_[kind][0].map((text) => element("span", "", text)));
    bar.append(colours, ends);
    return bar;
  }));
}

// Where the fixations on an image begin and end in the columns of the data set.
function rangeOf(image) {
  return [fixations.start[image], fixations.start[image + 1]];
}

function takeFixations(stored) {
  const Kind = stored.wide ? Uint16Array : Uint8Array;
  fixations = {
    cells: stored.cells, names: stored.observers, start: numbersOf(stored.offsets, Uint32Array),
    counted: numbersOf(stored.counted, Uint32Array), row: allBytes(stored.row), column: allBytes(stored.column),
    observer: numbersOf(stored.observer, Kind),
  };
}

// The choice of observers: those who looked at this image.
function fillObservers() {
  const choices = [{ id: "", label: "hidden" }, { id: EVERYBODY, label: "all observers" }], image = imageNow();
  if (fixations && image >= 0) {
    const [start, stop] = rangeOf(image), numbers = [...new Set(fixations.observer.subarray(start, stop))].sort((a, b) => a - b);
    for (const number of numbers) choices.push({ id: `is ${fixations.names[number]}`, label: `observer ${fixations.names[number]}`, group: "Only" });
  }
  if (!choices.some((c) => c.id === state.observer)) choices.push({ id: state.observer, label: `observer ${state.observer.slice(3)}: none here`, group: "Only" });
  fill(at("observer"), choices);
  at("observer").value = state.observer;
}

// Draws the fixations of the chosen observers; returns how many, in words.
function drawPoints() {
  const canvas = at("points"), image = imageNow(), scale = devicePixelRatio || 1;
  canvas.width = Math.round(canvas.clientWidth * scale);
  canvas.height = Math.round(canvas.clientHeight * scale);
  if (!state.observer || !fixations || image < 0) return "";
  const pen = canvas.getContext("2d"), [start, stop] = rangeOf(image), { cells, row, column: across, observer, names } = fixations;
  const radius = (stop - start > FEW_POINTS ? 2 : 4.5) * scale, seen = new Set();
  let n = 0;
  pen.lineWidth = scale * 1.25;
  for (let i = start; i < stop; i++) {
    if (state.observer !== EVERYBODY && state.observer !== `is ${names[observer[i]]}`) continue;
    seen.add(observer[i]);
    n++;
    pen.beginPath();
    pen.arc(((across[i] + 0.5) / cells) * canvas.width, ((row[i] + 0.5) / cells) * canvas.height, radius, 0, 2 * Math.PI);
    pen.fillStyle = OBSERVERS[observer[i] % OBSERVERS.length];
    pen.fill();
    pen.strokeStyle = "#1c2024";
    pen.stroke();
  }
  const few = fixations.counted[image] > stop - start ? ` (kept here: ${stop - start} of the image's ${fixations.counted[image]}, evenly chosen)` : "";
  return `${n.toLocaleString("en")} fixation${n === 1 ? "" : "s"} of ${seen.size} observer${seen.size === 1 ? "" : "s"}${few}.`;
}

// The scores of the image as a table: a row for people and each model, a column for each metric.
function drawNumbers() {
  const image = imageNow(), of = Object.keys(table.rows), answers = table.answers;
  const metrics = table.measures.filter((m) => !["gain", "consistency", "n_observers"].includes(m.kind));
  const whole = element("table"), head = element("tr"), body = element("tbody"), answered = Object.keys(answers).length > 0;
  const title = (text) => Object.assign(element("th", "", text), { scope: "col" });
  head.append(title("Scores"), ...(answered ? [Object.assign(title("Answer"), { className: "text" })] : []), ...metrics.map((m) => title(m.label)));
  for (const key of of) {
    const line = element("tr"), values = metrics.map((m) => numberOf(m.kind, key, image));
    if (values.every((v) => v !== v) && !answers[key]) continue;
    line.append(Object.assign(element("th", "", table.rows[key]), { scope: "row" }));
    if (answered) line.append(element("td", "text", image < 0 ? "" : answerText(answers[key], image)));
    line.append(...values.map((v) => element("td", "", shownValue(v))));
    body.append(line);
  }
  const top = element("thead");
  top.append(head);
  whole.append(top, body);
  at("numbers").replaceChildren(whole);
}

function answerText(answer, image) {
  if (!answer || answer.correct[image] === "-") return "";
  const said = answer.said.of[image] < 0 ? "" : answer.said.names[answer.said.of[image]];
  return `${answer.correct[image] === "1" ? "✓ right" : "✗ wrong"}: ${said}`;
}

function drawFacts() {
  const image = imageNow(), found = [];
  at("name").textContent = image < 0 ? "No image passes these filters" : table.images[image];
  if (image >= 0) {
    if (moreText(image)) found.push(moreText(image));
    const agree = numberOf("consistency", "", image), n = numberOf("n_observers", "", image);
    if (n === n) found.push(`${n} observers${agree === agree ? `, consistency ${agree.toFixed(2)}` : ""}`);
    const gains = table.pairs.map((pair) => [pair.label, numberOf("gain", pair.id, image)]).filter(([, gain]) => gain === gain);
    if (gains.length) found.push(`gain in CC: ${gains.map(([label, gain]) => `${label} ${gain > 0 ? "+" : ""}${gain.toFixed(2)}`).join(", ")}`);
  }
  at("facts").textContent = found.join(" · ") || "\u00a0";
}

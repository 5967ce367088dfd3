// What is chosen: the state of the page, its place in the address, and the images that it picks and in which order.

const NUMBERS = ["wipe", "opacity"];
const FILTERS = ["text", "class", "category", "animacy", "size", "answer"];
const MOST_PICKED = 500; // in the address
let set, table, column, state, shown, picked; // the data set, its table and numbers; shown: images in order

// The state at the beginning: people beside the first tuned model, images by their gain.
function atFirst() {
  const models = Object.keys(about.roles), gain = table.measures[0]?.kind === "gain";
  const first = models.find((key) => about.roles[key] === "tuned") ?? models.find((key) => about.roles[key] === "other") ?? models[0];
  const kind = table.measures[0]?.kind ?? "name";
  return {
    data: about.datasets[0].name, image: "", left: "human", right: first, wipe: 50, opacity: 60, observer: "",
    kind, of: gain ? table.pairs[0].id : ofs(kind)[0]?.id ?? "", order: "down",
    ...Object.fromEntries(FILTERS.map((name) => [name, ""])), picked: "",
  };
}

// What a measure can be of: models, people, pairs of models; [] where it is of the image alone.
function ofs(kind) {
  const found = table.numbers.filter((c) => c.kind === kind && c.of).map((c) => c.of);
  const pair = Object.fromEntries(table.pairs.map((p) => [p.id, p.label]));
  const models = Object.keys(about.roles);
  found.sort((a, b) => models.includes(b) - models.includes(a)); // models first; sort is stable
  return found.map((id) => ({ id, label: pair[id] ?? table.rows[id] }));
}

const numberOf = (kind, of, image) => column[`${kind} ${of}`]?.[image] ?? NaN;

// The state as the part of the address after #, without what is as at the beginning.
function written() {
  const first = atFirst(), found = new URLSearchParams();
  state.picked = picked.size && picked.size <= MOST_PICKED ? [...picked].sort((a, b) => a - b).join(".") : "";
  for (const [name, value] of Object.entries(state)) if (String(value) !== String(first[name])) found.set(name, value);
  return found.toString();
}

// The state from the address; what it names and is not there stays as at the beginning.
function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1)), found = atFirst();
  found.data = set.name;
  const kinds = ["name", ...table.measures.map((m) => m.kind)];
  const choices = { ...choicesOf(), kind: kinds, order: ["up", "down"], left: layers().map((l) => l.id), right: layers().map((l) => l.id) };
  for (const [name, value] of asked) {
    if (!(name in found) || name === "data" || name === "of") continue;
    if (NUMBERS.includes(name)) {
      const number = Number(value);
      if (value !== "" && number >= 0 && number <= 100) found[name] = number;
    } else if (!choices[name] || choices[name].includes(value)) found[name] = value;
  }
  const of = ofs(found.kind).map((o) => o.id);
  found.of = of.includes(asked.get("of")) ? asked.get("of") : of.includes(found.of) ? found.of : of[0] ?? "";
  const places = found.picked ? found.picked.split(".").map(Number) : [];
  picked = new Set(places.filter((i) => Number.isInteger(i) && i >= 0 && i < table.images.length));
  return found;
}

// The values that each filter can have, beside none.
function choicesOf() {
  const answers = table.pairs.filter((p) => table.answers[p.first] && table.answers[p.second]).map((p) => p.id);
  const keys = Object.keys(table.answers);
  return {
    class: ["", ...(table.classes?.names ?? [])], category: ["", ...(table.categories?.names ?? [])],
    animacy: ["", ...(table.animacy ? ["animate", "inanimate", "only animate", "only inanimate"] : [])],
    size: ["", ...(table.sizes ? ["small", "medium", "large"] : [])],
    answer: ["", ...keys.flatMap((k) => [`right ${k}`, `wrong ${k}`]), ...answers.flatMap((id) => [`lost ${id}`, `won ${id}`])],
  };
}

function passes(image) {
  const { text, class: kind, category, animacy, size, answer } = state;
  if (text && !table.images[image].toLowerCase().includes(text.toLowerCase())) return false;
  if (kind && table.classes.names[table.classes.of[image]] !== kind) return false;
  if (category && !table.categories.of[image].some((i) => table.categories.names[i] === category)) return false;
  if (size && !table.sizes[image].includes(size)) return false;
  if (animacy) {
    const [only, wanted] = animacy.startsWith("only ") ? [true, animacy.slice(5)] : [false, animacy];
    const there = table.animacy[image];
    if (!there.includes(wanted) || (only && there.length > 1)) return false;
  }
  return !answer || answered(answer, image);
}

function answered(answer, image) {
  const [how, of] = [answer.slice(0, answer.indexOf(" ")), answer.slice(answer.indexOf(" ") + 1)];
  const mark = (key) => table.answers[key].correct[image];
  if (how === "right" || how === "wrong") return mark(of) === (how === "right" ? "1" : "0");
  const pair = table.pairs.find((p) => p.id === of);
  return mark(pair.first) === (how === "won" ? "1" : "0") && mark(pair.second) === (how === "won" ? "0" : "1");
}

// The images that pass every filter, in order; those without a value last, either way.
function arranged() {
  const found = table.images.map((_, i) => i).filter(passes), turn = state.order === "up" ? 1 : -1;
  const names = new Intl.Collator("en", { numeric: true });
  if (state.kind === "name") return found.sort((a, b) => turn * names.compare(table.images[a], table.images[b]));
  const values = column[`${state.kind} ${state.of}`];
  return found.sort((a, b) => {
    const x = values[a], y = values[b];
    if (x !== x || y !== y) return (x !== x) - (y !== y) || a - b;
    return turn * (x - y) || a - b;
  });
}

// Rows as CSV. A text that begins like a formula gets an apostrophe in front, or a spreadsheet would run it.
function csvOf(images) {
  const cell = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const of = (list, image) => (list.of[image] < 0 ? "" : list.names[list.of[image]]);
  const columns = [["dataset", () => cell(set.name)], ["image", (i) => cell(table.images[i])]];
  if (table.classes) columns.push(["class", (i) => cell(of(table.classes, i))]);
  if (table.categories) columns.push(["categories", (i) => cell(table.categories.of[i].map((c) => table.categories.names[c]).join("; "))]);
  if (table.animacy) columns.push(["animacy", (i) => table.animacy[i].join("; ")]);
  if (table.sizes) columns.push(["sizes", (i) => table.sizes[i].join("; ")]);
  for (const c of table.numbers) {
    const values = column[`${c.kind} ${c.of}`];
    columns.push([c.of ? `${c.kind} ${c.of}` : c.kind, (i) => (values[i] === values[i] ? String(Number(values[i].toPrecision(6))) : "")]);
  }
  for (const [key, answer] of Object.entries(table.answers)) {
    columns.push([`correct ${key}`, (i) => ({ 1: "true", 0: "false" })[answer.correct[i]] ?? ""]);
    columns.push([`answer ${key}`, (i) => cell(of(answer.said, i))]);
  }
  const lines = [columns.map(([name]) => cell(name)), ...images.map((i) => columns.map(([, value]) => value(i)))];
  return lines.map((line) => line.join(",")).join("\n") + "\n";
}

// The list: as many rows as fit are in the page, whatever the number of images.

const ROW = 68; // px, as in the style
const SPARE = 8; // rows above and below what is seen
const SLOW = 4; // rows a frame; faster, and photos wait until the list has been still for SETTLED ms
const SETTLED = 80;
const rows = new Map(); // place in the list -> its element
const list = document.getElementById("list"), inner = document.getElementById("rows");

function element(name, kind, text) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

const shownValue = (value) => (value === value ? value.toFixed(3) : "–");

function rowOf(place) {
  const image = shown[place], row = element("div", "row"), text = element("div", "of"), photo = element("img");
  row.id = `image-${image}`;
  row.style.top = `${place * ROW}px`;
  row.setAttribute("role", "option");
  row.setAttribute("aria-setsize", shown.length);
  row.setAttribute("aria-posinset", place + 1);
  photo.alt = "";
  photo.decoding = "async";
  if (!table.pictures[image]) photo.style.visibility = "hidden";
  text.append(element("span", "label", table.images[image]), element("span", "value", valueText(image)), element("span", "more", moreText(image)));
  row.append(element("span", "box"), photo, text);
  row.dataset.place = place;
  mark(row, image);
  return row;
}

function valueText(image) {
  if (state.kind === "name") return "";
  const value = numberOf(state.kind, state.of, image), label = table.measures.find((m) => m.kind === state.kind).label;
  const sign = state.kind === "gain" && value > 0 ? "+" : "";
  return `${label.replace(/ [↑↓]$/, "")} ${sign}${state.kind === "n_observers" && value === value ? value : shownValue(value)}`;
}

function moreText(image) {
  const kind = table.classes && table.classes.of[image] >= 0 ? table.classes.names[table.classes.of[image]] : "";
  return kind || (table.categories?.of[image] ?? []).map((c) => table.categories.names[c]).join(", ");
}

function mark(row, image) {
  row.classList.toggle("current", table.images[image] === state.image);
  row.setAttribute("aria-selected", picked.has(image));
}

// Rows that came into view are made, those that left it taken out.
function drawRows() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
  for (const [place, row] of rows) {
    if (place < first || place >= last) {
      row.remove();
      rows.delete(place);
    }
  }
  const fresh = document.createDocumentFragment();
  for (let place = first; place < last; place++) {
    if (rows.has(place)) continue;
    const row = rowOf(place);
    rows.set(place, row);
    fresh.append(row);
  }
  inner.append(fresh);
}

// Photos of the rows that are there; not of those that only fly past.
function loadPhotos() {
  for (const [place, row] of rows) {
    const photo = row.querySelector("img"), source = table.pictures[shown[place]];
    if (source && !photo.src) photo.src = source;
  }
}

function redrawList() {
  for (const row of rows.values()) row.remove();
  rows.clear();
  inner.style.height = `${shown.length * ROW}px`;
  drawRows();
  loadPhotos();
  markRows();
}

function markRows() {
  for (const [place, row] of rows) mark(row, shown[place]);
  const current = list.querySelector(".row.current");
  if (current) list.setAttribute("aria-activedescendant", current.id);
  else list.removeAttribute("aria-activedescendant");
  document.getElementById("pick").checked = picked.has(imageNow());
  const filtered = FILTERS.filter((name) => state[name]).length;
  document.getElementById("all").hidden = !filtered;
  document.getElementById("filtered").textContent = filtered ? `(${filtered} on)` : "";
  const some = shown.length === table.images.length ? `${shown.length.toLocaleString("en")} images` : `${shown.length.toLocaleString("en")} of ${table.images.length.toLocaleString("en")} images`;
  document.getElementById("shown").textContent = picked.size ? `${some}, ${picked.size.toLocaleString("en")} picked` : some;
  const rowsOut = picked.size || shown.length;
  document.getElementById("csv").textContent = `CSV of ${rowsOut.toLocaleString("en")} ${picked.size ? "picked" : "shown"}`;
}

function scrollToCurrent() {
  const place = shown.indexOf(imageNow());
  if (place < 0) return;
  const top = place * ROW, height = list.clientHeight;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + ROW > list.scrollTop + height) list.scrollTop = top + ROW - height;
  drawRows();
  loadPhotos();
}

let asked = false, before = 0, settled;
list.addEventListener("scroll", () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    if (!table) return;
    drawRows();
    const slow = Math.abs(list.scrollTop - before) < SLOW * ROW;
    before = list.scrollTop;
    clearTimeout(settled);
    if (slow) loadPhotos();
    else settled = setTimeout(() => { if (table) loadPhotos(); }, SETTLED);
  });
});

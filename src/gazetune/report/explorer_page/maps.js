// Maps: from stored grids to values on SIDE x SIDE pixels, and from values to colours.

const SIDE = 224;
const KEPT = 24; // maps in memory
const known = new Map();
const DIFFERENCE = "minus"; // in the name of a layer: FIRST minus SECOND

// For each pixel the two grid cells it lies between, and how far from the first: bilinear, corners not aligned.
function between(n) {
  const low = new Int32Array(SIDE), high = new Int32Array(SIDE), share = new Float32Array(SIDE);
  for (let i = 0; i < SIDE; i++) {
    const place = Math.max(0, ((i + 0.5) * n) / SIDE - 0.5);
    low[i] = Math.floor(place);
    high[i] = Math.min(low[i] + 1, n - 1);
    share[i] = place - low[i];
  }
  return { low, high, share };
}

// A grid of bytes enlarged and scaled to 0..1, as the run itself does before it scores a map.
function enlarged(grid, height, width) {
  const across = between(width), down = between(height);
  const wide = new Float32Array(height * SIDE), found = new Float32Array(SIDE * SIDE);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < SIDE; x++) {
      const a = grid[y * width + across.low[x]], b = grid[y * width + across.high[x]];
      wide[y * SIDE + x] = a + (b - a) * across.share[x];
    }
  }
  let least = Infinity, most = -Infinity;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const a = wide[down.low[y] * SIDE + x], b = wide[down.high[y] * SIDE + x];
      const value = (found[y * SIDE + x] = a + (b - a) * down.share[y]);
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  for (let i = 0; i < found.length; i++) found[i] = (found[i] - least) / (most - least);
  return found;
}

// The map of people or of a model on an image, 0..1; null where there is none.
function mapOf(dataset, key, image) {
  const stored = parts[dataset]?.maps?.[key];
  if (!stored || stored.missing.includes(image)) return null;
  const name = `${dataset}/${key}/${image}`;
  let found = known.get(name);
  if (!found) {
    const [height, width] = stored.grid;
    found = enlarged(bytesOf(stored.data, image * height * width, (image + 1) * height * width), height, width);
  }
  known.delete(name);
  known.set(name, found); // the last used last
  if (known.size > KEPT) known.delete(known.keys().next().value);
  return found;
}

// A layer: "photo" (no values), a map, or a difference of two. {values, low, high, shades} or null.
function layerOf(dataset, layer, image) {
  const [first, second] = layer.split(` ${DIFFERENCE} `);
  const a = mapOf(dataset, first, image);
  if (second === undefined) return a && { values: a, low: 0, high: 1, shades: "map" };
  const b = mapOf(dataset, second, image);
  if (!a || !b) return null;
  // both maps run from 0 to 1, so -1..1 holds every difference: one scale for all images and pairs, centred on 0
  return { values: a.map((value, i) => value - b[i]), low: -1, high: 1, shades: "difference" };
}

// each colour as one number, in the byte order of a canvas: red, green, blue, opaque
const shades = Object.fromEntries(Object.entries(about.shades).map(([name, colours]) => [
  name, Uint32Array.from(colours, (hex) => parseInt(`ff${hex.slice(4)}${hex.slice(2, 4)}${hex.slice(0, 2)}`, 16)),
]));

function paint(canvas, layer) {
  canvas.width = canvas.height = SIDE; // also clears it
  if (!layer) return;
  const colours = shades[layer.shades], pen = canvas.getContext("2d"), picture = pen.createImageData(SIDE, SIDE);
  const pixels = new Uint32Array(picture.data.buffer), last = colours.length - 1, scale = last / (layer.high - layer.low);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colours[Math.round((layer.values[i] - layer.low) * scale)];
  pen.putImageData(picture, 0, 0);
}

function gradient(name) {
  const colours = about.shades[name], steps = 16;
  const stops = Array.from({ length: steps + 1 }, (_, i) => `#${colours[Math.round((i / steps) * (colours.length - 1))]}`);
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

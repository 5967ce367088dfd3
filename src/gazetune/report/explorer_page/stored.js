"use strict";
// What the run stored: the description in this page, and the parts of a data set, which come as scripts beside it.

const about = JSON.parse(document.getElementById("about").textContent);
const parts = {}; // data set -> part -> what its script handed over
const waiting = {}; // "data set/part" -> what to do when it comes

// Base64 of bytes start..stop of what a text encodes; the rest of the text is not decoded.
function bytesOf(text, start, stop) {
  const raw = atob(text.slice(Math.floor(start / 3) * 4, Math.ceil(stop / 3) * 4));
  const skip = start % 3;
  const found = new Uint8Array(stop - start);
  for (let i = 0; i < found.length; i++) found[i] = raw.charCodeAt(i + skip);
  return found;
}

function allBytes(text) {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return bytesOf(text, 0, (text.length / 4) * 3 - padding);
}

// Numbers were written little-endian, as every browser's machine has them.
const numbersOf = (text, Kind) => new Kind(allBytes(text).buffer);

function take(part, dataset, value) {
  (parts[dataset] ??= {})[part] = value;
  const found = waiting[`${dataset}/${part}`];
  delete waiting[`${dataset}/${part}`];
  if (found) found();
}

// One part of a data set, loaded once; a script tag, because a page from disk may not fetch.
function load(set, part, then) {
  if (parts[set.name]?.[part]) return then();
  waiting[`${set.name}/${part}`] = then;
  const script = document.createElement("script");
  script.src = set.files[part].split("/").map(encodeURIComponent).join("/");
  script.onerror = () => { document.getElementById("note").textContent = `${set.files[part]} is not beside this page.`; };
  document.body.append(script);
}

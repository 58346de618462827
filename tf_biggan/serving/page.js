// Generates images in the browser, over the same REST API that any other client uses.

const SIGNATURE = "generate_png";
const STRIP_LENGTH = 6;
const LARGEST_NEW_SEED = 1_000_000;
// The model accepts seeds up to 2^30 - 1. The strip below the image shows the next seeds.
const LARGEST_SEED = 2 ** 30 - 1 - STRIP_LENGTH;
const WAIT_MILLISECONDS = 120;
// Images whose sides have up to this many pixels are enlarged without smoothing.
const PIXEL_SIDE = 64;

const at = (id) => document.getElementById(id);
const state = { model: null, hasClasses: false, request: null, timer: 0 };

async function start() {
  try {
    state.model = await json("model.json");
    at("title").textContent = state.model.name;
    document.title = `${state.model.name}: try the model`;
    at("footer").textContent = state.model.licence_note ?? "";
    fillVersions(state.model.versions);
    await readSignatures();
  } catch (error) {
    at("about").textContent = "";
    return say(error.message, true);
  }
  at("seed").value = 0;
  at("truncation").value = 0.5;
  at("controls").addEventListener("input", changed);
  at("controls").addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  at("new-seed").addEventListener("click", () => setSeed(Math.floor(Math.random() * LARGEST_NEW_SEED)));
  at("version").addEventListener("change", changed);
  // The browser lists only classes that match the text. Selecting the text makes it easy to replace.
  at("class").addEventListener("focus", (event) => event.target.select());
  changed();
}

async function readSignatures() {
  const { metadata } = await json(`v1/models/${encodeURIComponent(state.model.name)}/metadata`);
  const signature = metadata.signature_def.signature_def[SIGNATURE];
  if (!signature) throw new Error(`The model has no signature ${SIGNATURE}: this page cannot show it.`);
  state.hasClasses = "label" in signature.inputs;
  const names = state.model.class_names ?? [];
  const [height, width] = state.model.image_size ?? [];
  const count = state.model.num_classes ?? names.length;
  const facts = [
    height ? `${height} × ${width} pixels` : "",
    state.hasClasses && count ? `${count.toLocaleString("en")} classes` : "",
    state.hasClasses ? "" : "no classes",
  ];
  at("about").textContent = facts.filter(Boolean).join(", ");
  at("class-field").hidden = !state.hasClasses;
  if (state.hasClasses) fillClasses(names, count);
}

function fillClasses(names, count) {
  at("classes").replaceChildren(...names.map((name, label) => new Option("", shownClass(name, label))));
  at("class").value = names.length ? shownClass(names[0], 0) : "0";
  const last = count ? ` from 0 to ${count - 1}` : "";
  at("class-hint").textContent = names.length
    ? `Type to search by name, or a number${last}.` : `A number${last}.`;
}

function fillVersions(versions) {
  at("version").replaceChildren(...versions.map((number) => new Option(number, number)));
  at("version-field").hidden = versions.length < 2;
}

const shownClass = (name, label) => `${name} (${label})`;

// Returns the label for the text in the class field, or null if it matches no class.
function chosenLabel() {
  const text = at("class").value.trim();
  const number = /^(\d{1,9})$/.exec(text) ?? /\((\d{1,9})\)$/.exec(text);
  if (number) return Number(number[1]);
  const label = (state.model.class_names ?? []).findIndex(
    (name) => name.toLowerCase() === text.toLowerCase());
  return label < 0 ? null : label;
}

function chosen() {
  const seed = Number(at("seed").value);
  const isSeed = at("seed").value !== "" && Number.isInteger(seed) && seed >= 0 && seed <= LARGEST_SEED;
  const label = state.hasClasses ? chosenLabel() : undefined;
  at("seed").setAttribute("aria-invalid", !isSeed);
  at("class").setAttribute("aria-invalid", label === null);
  if (!isSeed) return { problem: "The seed must be a whole number from 0." };
  if (label === null) return { problem: "There is no such class." };
  return { seed, label, truncation: Number(at("truncation").value), version: at("version").value };
}

function changed() {
  at("truncation-value").textContent = Number(at("truncation").value).toFixed(2);
  clearTimeout(state.timer);
  state.timer = setTimeout(draw, WAIT_MILLISECONDS);
}

function setSeed(seed) {
  at("seed").value = seed;
  changed();
}

async function draw() {
  const choice = chosen();
  state.request?.abort();
  if (choice.problem) return say(choice.problem, true);
  const request = state.request = new AbortController();
  document.body.classList.add("busy");
  say("Drawing…");
  try {
    const [picture] = await pictures(choice, [choice.seed], request.signal);
    show(picture, choice);
    const length = Math.min(STRIP_LENGTH, state.model.max_batch ?? STRIP_LENGTH);
    const seeds = Array.from({ length }, (_, index) => choice.seed + 1 + index);
    showStrip(await pictures(choice, seeds, request.signal), seeds);
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, true);
  } finally {
    if (state.request === request) document.body.classList.remove("busy");
  }
}

async function pictures(choice, seeds, signal) {
  const instances = seeds.map((seed) => ({
    ...(state.hasClasses ? { label: choice.label } : {}), seed, truncation: choice.truncation,
  }));
  const name = encodeURIComponent(state.model.name);
  const { predictions } = await json(`v1/models/${name}/versions/${choice.version}:predict`, {
    method: "POST", signal, body: JSON.stringify({ signature_name: SIGNATURE, instances }),
  });
  return predictions.map(({ b64 }) => `data:image/png;base64,${b64}`);
}

function show(picture, { label, seed, truncation }) {
  const name = state.model.class_names?.[label];
  const words = [name ?? (state.hasClasses ? `class ${label}` : ""), `seed ${seed}`, `truncation ${truncation}`]
    .filter(Boolean).join(", ");
  const image = at("picture");
  image.onload = () => {
    const { naturalWidth: width, naturalHeight: height } = image;
    document.body.classList.toggle("pixels", Math.max(width, height) <= PIXEL_SIDE);
    document.documentElement.style.setProperty("--shape", width / height);
  };
  image.src = picture;
  image.alt = `Generated picture: ${words}`;
  image.hidden = false;
  const link = at("download");
  link.href = picture;
  link.download = `${words.replaceAll(/[^\w.]+/g, "_")}.png`;
  link.hidden = false;
  say(words[0].toUpperCase() + words.slice(1));
}

function showStrip(list, seeds) {
  at("strip").replaceChildren(...list.map((picture, index) => {
    const button = document.createElement("button");
    const image = document.createElement("img");
    button.type = "button";
    button.title = `Seed ${seeds[index]}`;
    image.alt = `Seed ${seeds[index]}`;
    image.src = picture;
    button.append(image);
    button.addEventListener("click", () => setSeed(seeds[index]));
    return button;
  }));
}

async function json(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error("The server cannot be reached.");
  }
  const answer = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function say(words, isWrong = false) {
  at("status").textContent = words;
  at("status").classList.toggle("wrong", isWrong);
}

start();

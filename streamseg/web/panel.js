const $ = (id) => document.getElementById(id);

const make = (kind, fields = {}, ...children) => {
  const element = Object.assign(document.createElement(kind), fields);
  element.append(...children);
  return element;
};

/* ---- the API ---- */

/* What streamseg itself says no to; every other failure means that it does not answer. */
class Refusal extends Error {}

const LOST = "no answer: the run has ended, or the connection is lost";

async function ask(method, path, body, type = "application/json") {
  const headers = body === undefined ? {} : { "Content-Type": type };
  const sent = type === "application/json" && body !== undefined ? JSON.stringify(body) : body;
  const signal = method === "GET" ? AbortSignal.timeout(5000) : undefined;
  const response = await fetch(path, { method, headers, body: sent, signal });
  const content = await response.json();
  if (!response.ok) throw new Refusal(content.error);
  return content;
}

const complain = (text) => {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
};

async function attempt(act) {
  try {
    const result = await act();
    complain("");
    return result;
  } catch (error) {
    complain(error instanceof Refusal ? error.message : LOST);
    return null;
  }
}

/* Sliders change faster than a run can: what has not been sent yet goes together, the newest value of each. */
let waiting = {};
let sending = null;
let changes = 0;

async function change(fields) {
  Object.assign(waiting, fields);
  changes += 1;
  if (sending) return;
  document.body.classList.add("busy");
  while (Object.keys(waiting).length) {
    sending = waiting;
    waiting = {};
    const answer = await attempt(() => ask("PATCH", "/api/settings", sending));
    if (!Object.keys(waiting).length) show(answer ?? (await attempt(() => ask("GET", "/api/state"))) ?? state);
  }
  sending = null;
  document.body.classList.remove("busy");
}

async function toggle(id, path) {
  changes += 1;
  const on = $(id).getAttribute("aria-pressed") !== "true";
  const answer = await attempt(() => ask("POST", path, { on }));
  if (answer) show(answer);
}

/* ---- settings ---- */

let state = null;
let choices = null;

const NUMBERS = [
  { name: "threshold", title: "Threshold", min: 0, max: 1, step: 0.01, usual: 0.5, none: "soft", place: "edges" },
  { name: "feather", title: "Feather", min: 0, max: 40, step: 0.5, usual: 0, unit: " px", place: "edges" },
  { name: "outline_width", title: "Outline width", min: 0.5, max: 40, step: 0.5, usual: 8, none: "auto", unit: " px", place: "edges" },
  { name: "blur_strength", title: "Blur strength", min: 1, max: 100, step: 1, usual: 20, none: "auto", unit: " px", place: "edges" },
  { name: "smooth", title: "Calm flicker", min: 0, max: 1, step: 0.01, usual: 0.4, none: "auto", place: "network" },
];

const TAKEN_BY_SOME = ["outline_width", "blur_strength"];

function buildNumber({ name, title, min, max, step, none, place }) {
  const input = make("input", { id: name, type: "range", min, max, step });
  const output = make("output", { id: `${name}-value`, htmlFor: name });
  const value = make("span", { className: "value" }, output);
  if (none) value.append(buildReset(name, none, `${title}: ${none}`));
  const row = make("div", { className: "range" }, make("label", { htmlFor: name }, title), value, input);
  if (TAKEN_BY_SOME.includes(name)) row.dataset.takes = name;
  input.style.gridColumn = "1 / -1";
  input.addEventListener("input", () => change({ [name]: Number(input.value) }));
  $(place).append(row);
}

function buildReset(name, text, title) {
  const button = make("button", { type: "button", className: "reset" }, text);
  button.setAttribute("aria-label", title);
  button.dataset.resets = name;
  return button;
}

function buildEffects() {
  choices.effects.forEach(({ name }, index) => {
    const input = make("input", { type: "radio", name: "effect", value: name });
    input.addEventListener("change", () => change({ effect: name }));
    const title = `key ${(index + 1) % 10}`;
    $("effects").append(make("label", { title }, input, make("span", {}, name)));
  });
}

function fill(select, names, chosen) {
  const wanted = names.map(([value, text]) => `${value}\n${text}`).join("\n\n");
  if (select.dataset.holds !== wanted) {
    select.replaceChildren(...names.map(([value, text]) => make("option", { value }, text)));
    select.dataset.holds = wanted;
  }
  if (document.activeElement !== select || !sending) select.value = chosen;
}

function build() {
  buildEffects();
  NUMBERS.forEach(buildNumber);
  for (const button of document.querySelectorAll("[data-resets]")) {
    button.addEventListener("click", () => change({ [button.dataset.resets]: null }));
  }
  for (const name of ["background_fit", "crop", "refine", "model"]) {
    $(name).addEventListener("change", () => change({ [name]: $(name).value }));
  }
  $("invert").addEventListener("change", () => change({ invert: $("invert").checked }));
  $("color").addEventListener("input", () => change({ color: $("color").value }));
  $("background-color").addEventListener("input", () => change({ background: $("background-color").value }));
  $("background").addEventListener("change", chooseBackground);
  $("controls").addEventListener("submit", (event) => event.preventDefault());
}

/* ---- background ---- */

const COLOUR = ":colour";

function chooseBackground() {
  const chosen = $("background").value;
  if (chosen === COLOUR) change({ background: $("background-color").value });
  else change({ background: chosen || null });
}

async function upload(file) {
  if (!file) return;
  if (file.size > 20 * 1024 * 1024) return complain(`${file.name} is larger than 20 MB`);
  $("upload").value = "";
  const put = () => ask("PUT", `/api/backgrounds/${encodeURIComponent(file.name)}`, file, file.type);
  const hint = $("upload-hint");
  const usual = hint.textContent;
  hint.textContent = `uploading ${file.name} …`;
  const kept = await attempt(put);
  hint.textContent = usual;
  if (kept) change({ background: kept.name });
}

function showBackground(settings) {
  const isPicture = state.backgrounds.includes(settings.background);
  const isColour = settings.background !== null && !isPicture;
  const names = [["", "the effect’s own"], [COLOUR, "a colour"], ...state.backgrounds.map((name) => [name, name])];
  fill($("background"), names, isColour ? COLOUR : settings.background ?? "");
  $("background-color").hidden = !isColour;
  if (isColour && document.activeElement !== $("background-color")) {
    $("background-color").value = hex(settings.background);
  }
}

function hex(colour) {
  if (/^#[0-9a-f]{6}$/i.test(colour)) return colour.toLowerCase();
  if (/^#[0-9a-f]{3}$/i.test(colour)) return colour.replace(/[0-9a-f]/gi, "$&$&").toLowerCase();
  const parts = colour.split(",").map(Number);
  if (parts.length === 3) return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour;
  return context.fillStyle;
}

/* ---- showing the state ---- */

function show(now) {
  if (!now) return;
  state = now;
  showSwitches(now);
  if (state.settings && choices) showSettings(state.settings);
}

function showSwitches(now) {
  const { settings, picture } = now;
  if (picture) $("screen").style.aspectRatio = `${picture.width} / ${picture.height}`;
  $("notice").textContent = notice(now);
  for (const [id, on] of [["panic", now.panic], ["freeze", now.frozen], ["pause", now.paused]]) {
    $(id).setAttribute("aria-pressed", String(Boolean(on)));
    $(id).disabled = !settings;
  }
  for (const group of document.querySelectorAll("fieldset")) group.disabled = !settings || now.loading;
}

function notice(now) {
  if (now.loading) return "the network is being loaded";
  if (!now.picture) return "waiting for the first picture";
  if (now.panic) return "panic: viewers see the background only";
  if (now.paused) return "paused";
  return now.frozen ? "frozen: viewers see this picture" : "";
}

function showSettings(settings) {
  const taken = choices.effects.find(({ name }) => name === settings.effect)?.takes ?? [];
  for (const element of document.querySelectorAll("[data-takes]")) {
    element.hidden = !taken.includes(element.dataset.takes);
  }
  $("no-colours").hidden = taken.includes("color") || taken.includes("background");
  for (const input of document.querySelectorAll("[name=effect]")) input.checked = input.value === settings.effect;
  $("invert").checked = settings.invert;
  if (document.activeElement !== $("color")) $("color").value = settings.color ? hex(settings.color) : "#000000";
  NUMBERS.forEach((number) => showNumber(number, settings[number.name]));
  for (const button of document.querySelectorAll("[data-resets]")) {
    button.setAttribute("aria-pressed", String(settings[button.dataset.resets] === null));
  }
  const same = (names) => names.map((name) => [name, name]);
  fill($("background_fit"), same(choices.background_fits), settings.background_fit);
  fill($("crop"), same(choices.crops), settings.crop);
  fill($("refine"), same(choices.refinements), settings.refine);
  fill($("model"), same(choices.models.map(({ name }) => name)), settings.model);
  showBackground(settings);
  showClasses(settings);
}

function showNumber({ name, usual, none, unit = "" }, value) {
  $(name).setAttribute("aria-valuetext", value === null ? none : `${value}${unit}`);
  if (document.activeElement !== $(name) || !sending) $(name).value = value ?? usual;
  $(`${name}-value`).textContent = value === null ? "" : `${value}${unit}`;
}

function showClasses(settings) {
  const model = choices.models.find(({ name }) => name === settings.model);
  const classes = model?.classes ?? [];
  const group = $("classes");
  if (group.dataset.model !== settings.model) {
    group.dataset.model = settings.model;
    group.replaceChildren(...classes.map((name) => {
      const input = make("input", { type: "checkbox", name: "class", value: name });
      input.addEventListener("change", chooseClasses);
      return make("label", { className: "check" }, input, name);
    }));
  }
  const chosen = settings.classes.length ? settings.classes : model?.foreground ?? [];
  const every = chosen.length === 1 && chosen[0] === "all" && !classes.includes("all");
  for (const input of group.querySelectorAll("input")) {
    input.checked = every ? input.value !== "background" : chosen.includes(input.value);
  }
}

function chooseClasses() {
  const chosen = [...document.querySelectorAll("[name=class]:checked")].map(({ value }) => value);
  change({ classes: chosen });
}

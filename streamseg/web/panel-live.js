/* ---- preview ---- */

let peer = null;
let stills = 0;

function watch() {
  unwatch();
  if (document.hidden || !state) return;
  const by = $("by").value;
  const able = state.webrtc && "RTCPeerConnection" in window;
  if (by === "webrtc" || (by === "auto" && able)) watchVideo();
  else watchPictures();
}

function unwatch() {
  peer?.close();
  peer = null;
  $("video").srcObject = null;
  clearInterval(stills);
  $("picture").removeAttribute("src");
}

function watchPictures() {
  unwatch();
  $("video").hidden = true;
  $("picture").hidden = false;
  $("picture").src = `/preview.mjpg?${Date.now()}`;
}

/* Where no stream is to be had, as with many windows open: a picture a second. */
function watchStills() {
  clearInterval(stills);
  stills = setInterval(() => ($("picture").src = `/preview.jpg?${Date.now()}`), 1000);
}

/* Pictures instead, where no connection comes about; unless something else is being watched by then. */
async function watchVideo() {
  const mine = (peer = new RTCPeerConnection());
  try {
    await connect(mine);
  } catch {
    if (mine === peer) watchPictures();
  }
}

async function connect(mine) {
  mine.addTransceiver("video", { direction: "recvonly" });
  mine.addEventListener("track", ({ track, receiver }) => {
    receiver.jitterBufferTarget = 0;
    $("video").srcObject = new MediaStream([track]);
  });
  await mine.setLocalDescription();
  await until(mine, "icegatheringstatechange", () => mine.iceGatheringState === "complete", 2000);
  const { type, sdp } = mine.localDescription;
  await mine.setRemoteDescription(await ask("POST", "/api/webrtc", { type, sdp }));
  await until(mine, "connectionstatechange", () => mine.connectionState === "connected", 5000);
  if (mine.connectionState !== "connected") throw new Error("no connection");
  $("picture").hidden = true;
  $("video").hidden = false;
  mine.addEventListener("connectionstatechange", () => {
    if (mine === peer && mine.connectionState === "failed") watchPictures();
  });
}

function until(target, event, done, longest) {
  return new Promise((resolve) => {
    const look = () => done() && resolve();
    target.addEventListener(event, look);
    setTimeout(resolve, longest);
    look();
  });
}

/* ---- figures ---- */

const KEPT = 120;
const past = { fps: [], p50: [], p95: [], dropped: [] };
let droppedBefore = null;

function showFigures(figures) {
  const { fps, latency_ms: latency, frames_dropped: dropped } = figures;
  $("facts").textContent = [figures.model, figures.runtime, figures.effect].join(" · ");
  $("fps").textContent = fps.toFixed(1);
  $("latency").textContent = latency.p50 === null ? "–" : `${ms(latency.p50)} / ${ms(latency.p95)} ms`;
  $("dropped").textContent = `${dropped} of ${figures.frames_in}`;
  keep(past.fps, fps);
  keep(past.p50, latency.p50 ?? 0);
  keep(past.p95, latency.p95 ?? 0);
  keep(past.dropped, droppedBefore === null ? 0 : Math.max(0, dropped - droppedBefore));
  droppedBefore = dropped;
  draw($("fps-chart"), [past.fps]);
  draw($("latency-chart"), [past.p50, past.p95]);
  draw($("dropped-chart"), [past.dropped]);
  showStages(figures.stage_ms);
}

const ms = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0));

function keep(values, value) {
  values.push(value);
  if (values.length > KEPT) values.shift();
}

function draw(svg, series) {
  const top = Math.max(1e-6, ...series.flat());
  svg.setAttribute("viewBox", `0 0 ${KEPT - 1} 44`);
  svg.setAttribute("preserveAspectRatio", "none");
  series.forEach((values, index) => {
    const line = svg.children[index] ?? svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
    const first = KEPT - values.length;
    line.setAttribute("points", values.map((value, at) => `${first + at},${(42 - (40 * value) / top).toFixed(1)}`).join(" "));
  });
}

function showStages(stages) {
  const entries = Object.entries(stages).filter(([, { p95 }]) => p95 !== null);
  const longest = Math.max(1, ...entries.map(([, { p95 }]) => p95));
  $("stages").replaceChildren(...entries.map(([name, { p50, p95 }]) => {
    const bars = [p95, p50].map((value) => {
      const bar = make("i");
      bar.style.width = `${(100 * value) / longest}%`;
      return bar;
    });
    const text = make("span", { className: "ms" }, `${ms(p50)} / ${ms(p95)} ms`);
    return make("li", {}, make("span", {}, name), make("span", { className: "track" }, ...bars), text);
  }));
}

/* ---- keys, files, life ---- */

/* As in the window. */
const BUTTONS = { p: "panic", z: "freeze", " ": "pause", s: "snapshot", f: "full" };

function press(event) {
  const typing = event.target.closest("input, select, textarea, button, a");
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (typing && (event.key === " " || typing.matches("select, [type=color]"))) return;
  const digit = "1234567890".indexOf(event.key);
  if (digit >= 0 && choices?.effects[digit]) change({ effect: choices.effects[digit].name });
  else if (event.key === "i" && state?.settings) change({ invert: !state.settings.invert });
  else if (event.key in BUTTONS && !$(BUTTONS[event.key]).hidden) $(BUTTONS[event.key]).click();
  else return;
  event.preventDefault();
}

function listen() {
  $("panic").addEventListener("click", () => toggle("panic", "/api/panic"));
  $("freeze").addEventListener("click", () => toggle("freeze", "/api/freeze"));
  $("pause").addEventListener("click", () => toggle("pause", "/api/pause"));
  $("full").hidden = !document.fullscreenEnabled;  // on an iPhone
  $("full").addEventListener("click", () => document.exitFullscreen().catch(() => $("screen").requestFullscreen()));
  $("by").addEventListener("change", watch);
  $("picture").addEventListener("error", watchStills);
  $("upload").addEventListener("change", () => upload($("upload").files[0]));
  document.addEventListener("keydown", press);
  document.addEventListener("visibilitychange", watch);
  addEventListener("pagehide", unwatch);
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    upload(event.dataTransfer.files[0]);
  });
}

function link(kind, text) {
  $("link").dataset.state = kind;
  $("link").textContent = text;
}

/* Asked for again and again, not streamed: a browser keeps six connections to one place, whatever it has open,
   and none may be missing when panic is pressed. */
async function follow() {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

let connected = false;

async function look() {
  const asked = changes;
  try {
    const now = await ask("GET", "/api/state");
    choices = connected ? choices : await ask("GET", "/api/choices");
    if (!$("effects").children.length) build();
    if (asked === changes) (sending ? showSwitches : show)(now);
    if (now.figures) showFigures(now.figures);
    if (!connected) {
      complain("");
      watch();
    }
    connected = true;
    link("live", "live");
  } catch (error) {
    connected = false;
    link("off", "no connection");
    $("notice").textContent = LOST;
    if (error instanceof Refusal) complain(error.message);
  }
  document.body.classList.toggle("lost", !connected);
}

listen();
follow();

// Draws the two charts, and keeps the page as the database is: told of news, it fetches the figures.
const byId = (id) => document.getElementById(id);
// The page itself may be open without the slash at its end.
const here = new URL("..", document.currentScript.src);
const live = byId("live"), heard = byId("heard"), island = byId("charts");
const still = { animation: false, maintainAspectRatio: false, resizeDelay: 100 };
const SOON = 1000, LATER = 5000, ANYWAY = 30000, QUIET = 10000; // milliseconds
const charts = {}, parts = new Map();
let latest, shown, source, timer, busy, again, fetched = 0, unread = 0, told = 0;

// Charts

// What draws them is much more than the page, and on a phone they are below what is seen first.
function drawOnceSeen() {
  const watch = new IntersectionObserver((places) => {
    if (!places.some((one) => one.isIntersecting)) return;
    watch.disconnect();
    load(...island.dataset.scripts.split(" "));
  });
  document.querySelectorAll(".chart").forEach((one) => watch.observe(one));
}

function load(script, ...others) {
  if (!script) return draw(latest);
  const element = document.createElement("script");
  element.src = script;
  element.addEventListener("load", () => load(...others));
  element.addEventListener("error", () => setTimeout(load, LATER, script, ...others));
  document.head.append(element);
}

function draw(figures) {
  latest = figures;
  if (!window.Chartkick) return;
  const text = JSON.stringify(figures);
  if (text === shown) return;
  shown = text;
  const dress = (id, what) => getComputedStyle(byId(id))[what];
  Chart.defaults.color = dress("sales", "color");
  Chart.defaults.borderColor = dress("sales", "borderTopColor");
  Chart.defaults.font.family = dress("sales", "fontFamily");
  const money = { round: figures.digits, zeros: true, thousands: ",", suffix: ` ${figures.currency}` };
  const colors = [...document.querySelectorAll("[data-share] .swatch")].map((one) => getComputedStyle(one).backgroundColor);
  const columns = {
    ...money, colors: [dress("sales", "outlineColor")], legend: false, empty: "",
    library: { ...still, scales: { y: { border: { display: false } }, x: { ticks: { maxRotation: 0, autoSkipPadding: 16 } } } },
    dataset: { borderRadius: 3, borderWidth: 0, maxBarThickness: 36 },
  };
  const ring = {
    ...money, colors, legend: false, donut: true, empty: "",
    library: { ...still, cutout: "64%" }, dataset: { borderColor: dress("flavors", "outlineColor"), borderWidth: 2 },
  };
  chart("sales", "ColumnChart", figures.sales, columns);
  // A slow phone has a moment in between.
  setTimeout(() => chart("flavors", "PieChart", figures.flavors, ring));
}

function chart(id, kind, values, options) {
  if (charts[id]) charts[id].updateData(values, options);
  else charts[id] = new Chartkick[kind](id, values, options);
}

function redraw() {
  if (!shown) return;
  const figures = JSON.parse(shown);
  shown = undefined;
  draw(figures);
}

// What is shown

function say(state, text, link) {
  if (live.dataset.state === state) return;
  live.dataset.state = state;
  live.textContent = text;
  if (!link) return;
  const way = document.createElement("a");
  way.href = link;
  way.textContent = "Sign in";
  live.append(" ", way);
}

function put(part, html) {
  if (parts.get(part) === html) return;
  parts.set(part, html);
  const place = document.querySelector(`[data-part=${part}]`);
  const held = place.contains(document.activeElement) && document.activeElement.getAttribute("href");
  place.innerHTML = html;
  if (held) place.querySelector(`[href="${CSS.escape(held)}"]`)?.focus();
}

function show(data) {
  // The first ones to be fetched are usually those that came with the page.
  const { event, order } = heard.dataset;
  if (event !== String(data.event) || order !== String(data.order)) {
    for (const [part, html] of Object.entries(data.parts)) put(part, html);
  }
  delete heard.dataset.event;
  byId("at").textContent = data.at;
  for (const row of document.querySelectorAll("tr[data-order]")) {
    if (Number(row.dataset.order) > Number(order)) {
      row.classList.add("new");
      unread += 1;
    }
  }
  heard.dataset.order = data.order;
  // Who listens to the page is not interrupted all the time.
  if (unread && Date.now() - told > QUIET) {
    heard.textContent = `${unread} new order${unread > 1 ? "s" : ""}`;
    told = Date.now();
    unread = 0;
  }
  draw(data.charts);
}

// Keeping up

// News that come while figures are on their way may not be in them.
const soon = (wait = SOON) => {
  if (busy) again = true;
  else timer ??= setTimeout(refresh, Math.max(0, fetched + wait - Date.now()));
};

async function refresh() {
  timer = undefined;
  busy = true;
  again = false;
  fetched = Date.now();
  const failed = await fetchFigures().catch(() => true);
  busy = false;
  if (failed) say("away", "The figures cannot be read right now; these are older.");
  if (failed || again) soon(failed ? LATER : SOON);
}

async function fetchFigures() {
  const answer = await fetch(new URL(`data?${heard.dataset.days}`, here), { signal: AbortSignal.timeout(10000) });
  if (answer.status === 401 || answer.status === 403) return signedOut();
  if (!answer.ok) return true;
  show(await answer.json());
  if (source?.readyState === EventSource.OPEN) say("live", "Live");
}

function signedOut() {
  source?.close();
  say("out", "You are signed out.", `${new URL("../admin/", here).pathname}?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function listen() {
  source?.close();
  source = new EventSource(new URL("live", here));
  source.addEventListener("open", () => say("live", "Live"));
  source.addEventListener("changed", () => soon());
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return say("again", "Connecting again");
    // It was refused: signed out, too many, or nobody there. The figures say which.
    say("paused", "Not live");
    soon(LATER);
    setTimeout(() => { if (!document.hidden && live.dataset.state !== "out") listen(); }, LATER);
  });
}

// A page that nobody sees leaves its connection to others: a browser has six.
function seen() {
  if (live.dataset.state === "out") return;
  if (document.hidden) source?.close();
  else listen();
}

if (island) {
  latest = JSON.parse(island.textContent);
  // First what can be read without them.
  requestAnimationFrame(() => setTimeout(drawOnceSeen));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => requestAnimationFrame(redraw));
  document.addEventListener("visibilitychange", seen);
  setInterval(() => { if (!document.hidden && live.dataset.state !== "out") soon(); }, ANYWAY);
  seen();
} else {
  setTimeout(() => location.reload(), LATER);
}

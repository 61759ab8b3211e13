// Draws the two charts, sorts tables, and keeps the page current: after each notification it fetches the figures.
const byId = (id) => document.getElementById(id);
// The page's own address may lack the slash at its end.
const base = new URL("../dashboard/", document.currentScript.src);
const live = byId("live"), announcement = byId("announcement"), chartData = byId("charts");
const chartOptions = { animation: false, maintainAspectRatio: false, resizeDelay: 100 };
// All in milliseconds. At most one request per second, for any number of changes.
const FETCH_INTERVAL = 1000;
const RETRY_DELAY = 5000;
// Without a notification the page fetches too: the connection may be broken.
const IDLE_FETCH_INTERVAL = 30000;
const ANNOUNCE_INTERVAL = 10000;
const charts = {}, parts = new Map(), orders = new Map();
let latest, drawn, source, timer, isFetching, fetchAgain, fetchedAt = 0, unannounced = 0, announcedAt = 0;

// Charts

// The chart scripts are much larger than the page, and on a phone the charts are below the first screen.
function drawWhenVisible() {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    loadScripts(...chartData.dataset.scripts.split(" "));
  });
  document.querySelectorAll(".chart").forEach((element) => observer.observe(element));
}

function loadScripts(script, ...others) {
  if (!script) return draw(latest);
  const element = document.createElement("script");
  element.src = script;
  element.addEventListener("load", () => loadScripts(...others));
  element.addEventListener("error", () => setTimeout(loadScripts, RETRY_DELAY, script, ...others));
  document.head.append(element);
}

function draw(figures) {
  latest = figures;
  if (!window.Chartkick) return;
  const text = JSON.stringify(figures);
  if (text === drawn) return;
  drawn = text;
  const style = (id, property) => getComputedStyle(byId(id))[property];
  Chart.defaults.color = style("sales", "color");
  Chart.defaults.borderColor = style("sales", "borderTopColor");
  Chart.defaults.font.family = style("sales", "fontFamily");
  const money = { round: figures.digits, zeros: true, decimal: figures.separators[0], thousands: figures.separators[1], suffix: ` ${figures.currency}` };
  const shares = [...document.querySelectorAll("[data-share]")].sort((one, other) => one.dataset.share - other.dataset.share);
  const colors = shares.map((share) => share.querySelector(".swatch")).map((swatch) => getComputedStyle(swatch).backgroundColor);
  const columns = {
    ...money, colors: [style("sales", "outlineColor")], legend: false, empty: "",
    library: { ...chartOptions, onClick: openPeriod, scales: { y: { border: { display: false } }, x: { ticks: { maxRotation: 0, autoSkipPadding: 16 } } } },
    dataset: { borderRadius: 3, borderWidth: 0, maxBarThickness: 36 },
  };
  const doughnut = {
    ...money, colors, legend: false, donut: true, empty: "",
    library: { ...chartOptions, cutout: "64%" }, dataset: { borderColor: style("flavors", "outlineColor"), borderWidth: 2 },
  };
  drawChart("sales", "ColumnChart", figures.sales, columns);
  // The pause lets a slow phone handle input in between.
  setTimeout(() => drawChart("flavors", "PieChart", figures.flavors, doughnut));
}

// The days in the table are links too.
function openPeriod(event, bars) {
  if (bars.length) location.search = latest.links[bars[0].index];
}

function drawChart(id, kind, values, options) {
  if (charts[id]) charts[id].updateData(values, options);
  else charts[id] = new Chartkick[kind](id, values, options);
}

function redraw() {
  if (!drawn) return;
  const figures = JSON.parse(drawn);
  drawn = undefined;
  draw(figures);
}

// Page content

function setStatus(state, text, link) {
  if (live.dataset.state === state) return;
  live.dataset.state = state;
  live.textContent = text;
  if (!link) return;
  const anchor = document.createElement("a");
  anchor.href = link;
  anchor.textContent = "Sign in";
  live.append(" ", anchor);
}

function replacePart(part, html) {
  if (parts.get(part) === html) return;
  parts.set(part, html);
  const element = document.querySelector(`[data-part=${part}]`);
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const focused = active?.getAttribute("href"), column = active?.closest("thead th")?.cellIndex;
  element.innerHTML = html;
  prepareTables(element);
  if (focused) element.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  if (column !== undefined) element.querySelector("thead tr")?.cells[column].querySelector("button")?.focus();
}

// Sorting

// Without the script the headers are plain text, so the buttons are made here, and again after each update.
function prepareTables(element) {
  for (const table of element.querySelectorAll("table")) {
    for (const header of table.tHead.rows[0].cells) {
      if (header.querySelector(".unseen")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sortBy(table, header));
      header.append(button);
    }
    sortTable(table);
  }
}

// First the smallest text, but the largest number; then the other way round.
function sortBy(table, header) {
  const column = header.cellIndex, first = table.tBodies[0].rows[0];
  const isNumber = first && typeof sortValue(first.cells[column]) === "number";
  const descending = header.ariaSort ? header.ariaSort === "ascending" : isNumber;
  orders.set(table.caption.textContent, { column, descending });
  sortTable(table);
}

function sortTable(table) {
  const order = orders.get(table.caption.textContent);
  if (!order) return;
  const rows = [...table.tBodies[0].rows].map((row) => [sortValue(row.cells[order.column]), row]);
  rows.sort(([one], [other]) => compare(one, other, order.descending));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const header of table.tHead.rows[0].cells) header.removeAttribute("aria-sort");
  table.tHead.rows[0].cells[order.column].setAttribute("aria-sort", order.descending ? "descending" : "ascending");
}

function sortValue(cell) {
  const text = cell.dataset.value ?? cell.querySelector("time")?.dateTime ?? cell.textContent.trim();
  return text === "" || isNaN(text) ? text : Number(text);
}

// Unknown values are always last.
function compare(one, other, descending) {
  if (one === "" || other === "") return (one === "") - (other === "");
  const sign = descending ? -1 : 1;
  return sign * (typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(other));
}

function updatePage(data) {
  // The first fetched figures are usually those that came with the page.
  const { event, order } = announcement.dataset;
  if (event !== String(data.event) || order !== String(data.order)) {
    for (const [part, html] of Object.entries(data.parts)) replacePart(part, html);
  }
  delete announcement.dataset.event;
  byId("at").textContent = data.at;
  for (const row of document.querySelectorAll("tr[data-order]")) {
    if (Number(row.dataset.order) > Number(order)) {
      row.classList.add("new");
      unannounced += 1;
    }
  }
  announcement.dataset.order = data.order;
  // A screen reader must not be interrupted all the time.
  if (unannounced && Date.now() - announcedAt > ANNOUNCE_INTERVAL) {
    announcement.textContent = `${unannounced} new order${unannounced > 1 ? "s" : ""}`;
    announcedAt = Date.now();
    unannounced = 0;
  }
  draw(data.charts);
}

// Updates

// A response may lack a change that happened during its request, so the page then fetches again.
const scheduleFetch = (wait = FETCH_INTERVAL) => {
  if (isFetching) fetchAgain = true;
  else timer ??= setTimeout(refresh, Math.max(0, fetchedAt + wait - Date.now()));
};

async function refresh() {
  timer = undefined;
  isFetching = true;
  fetchAgain = false;
  fetchedAt = Date.now();
  const failed = await fetchFigures().catch(() => true);
  isFetching = false;
  if (failed) setStatus("away", "The figures cannot be loaded right now; older ones are shown.");
  if (failed || fetchAgain) scheduleFetch(failed ? RETRY_DELAY : FETCH_INTERVAL);
}

async function fetchFigures() {
  const response = await fetch(new URL(`data?${announcement.dataset.days}`, base), { signal: AbortSignal.timeout(10000) });
  if (response.status === 401 || response.status === 403) return showSignedOut();
  if (!response.ok) return true;
  updatePage(await response.json());
  if (source?.readyState === EventSource.OPEN) setStatus("live", "Live");
}

function showSignedOut() {
  source?.close();
  setStatus("out", "You are signed out.", `${new URL("../sign-in/", base).pathname}?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function listen() {
  source?.close();
  source = new EventSource(new URL("live", base));
  source.addEventListener("open", () => setStatus("live", "Live"));
  source.addEventListener("changed", () => scheduleFetch());
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return setStatus("again", "Reconnecting");
    // The stream was refused: signed out, too many pages, or no server. Fetching the figures shows which.
    setStatus("paused", "Not live");
    scheduleFetch(RETRY_DELAY);
    setTimeout(() => { if (!document.hidden && live.dataset.state !== "out") listen(); }, RETRY_DELAY);
  });
}

// A hidden page releases its connection: a browser has only six per host.
function onVisibilityChange() {
  if (live.dataset.state === "out") return;
  if (document.hidden) source?.close();
  else listen();
}

if (chartData) {
  latest = JSON.parse(chartData.textContent);
  prepareTables(document);
  // The figures are painted first; the charts come after them.
  requestAnimationFrame(() => setTimeout(drawWhenVisible));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => requestAnimationFrame(redraw));
  document.addEventListener("visibilitychange", onVisibilityChange);
  setInterval(() => { if (!document.hidden && live.dataset.state !== "out") scheduleFetch(); }, IDLE_FETCH_INTERVAL);
  onVisibilityChange();
} else {
  setTimeout(() => location.reload(), RETRY_DELAY);
}

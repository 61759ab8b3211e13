// Adapts Piccolo's page: it offers changes also where the service refuses them, and moves money at once.
const page = document.getElementById("app");
const readOnly = document.getElementById("links").dataset.readOnly.split(" ");
const MOVES_MONEY = /^#\/forms\/((?:refund|cancel)-[a-z-]+?)(?:-\d+)?\/?$/;
let confirmed = false;

// Piccolo changes the address and its page without events of its own.
function markReadOnly() {
  const [table, row] = location.hash.slice(2).split(/[/?]/);
  const isReadOnly = readOnly.includes(table);
  document.body.classList.toggle("read-only", isReadOnly);
  if (!isReadOnly || !row) return;
  const title = page.querySelector(".header h1"), name = `${table.replaceAll("_", " ")} ${row}`;
  if (title && title.textContent !== name) title.textContent = name;
  for (const field of page.querySelectorAll("form :is(input, select, textarea)")) {
    field.readOnly = true;
    field.disabled = field.matches("select, .key_search input");
  }
}

// The server describes the order as it is now.
async function describe(form, subject) {
  const answer = await fetch(`./api/forms/${form}-${subject}/`);
  return answer.ok ? (await answer.json()).description : "";
}

async function confirmOnce(event) {
  const [, form] = location.hash.match(MOVES_MONEY) ?? [];
  if (!form || confirmed) return void (confirmed = false);
  event.preventDefault();
  event.stopImmediatePropagation();
  const fields = new FormData(event.target);
  const amount = fields.get("amount");
  const subject = [...fields.values()][0];
  const question = page.querySelector("h1:not(#nav h1)").textContent.trim();
  const money = fields.has("amount") ? `: ${amount || "all that is left"}` : "";
  if (!window.confirm(`${question}${money}?\n\n${await describe(form, subject)}`)) return;
  confirmed = true;
  event.target.requestSubmit();
}

new MutationObserver(markReadOnly).observe(page, { childList: true, subtree: true });
page.addEventListener("submit", confirmOnce, true);

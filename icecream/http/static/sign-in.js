const form = document.querySelector("form");
const dashboard = new URL("../dashboard/", document.currentScript.src);
const said = document.querySelector("[role=alert]");

async function signIn() {
  const answer = await fetch(new URL("../admin/public/login/", dashboard), {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "",
    },
    body: JSON.stringify(Object.fromEntries(new FormData(form))),
  });
  const text = await answer.text();
  const next = new URLSearchParams(location.search).get("next") ?? dashboard.pathname;
  const within = location.hash.length > 2; // Some page of the admin: it stays, and is shown.
  if (answer.ok && next.startsWith(dashboard.pathname) && !within) location.assign(next);
  else if (answer.ok) location.reload();
  else if (answer.status === 401) said.textContent = "No member of staff has this name and password.";
  else if (answer.headers.get("Content-Type").startsWith("text/plain")) said.textContent = text;
  else said.textContent = "This is not possible right now.";
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn().catch(() => { said.textContent = "The service does not answer."; });
});

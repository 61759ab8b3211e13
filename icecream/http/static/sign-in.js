const form = document.querySelector("form");
const dashboard = new URL("../dashboard/", document.currentScript.src);
const message = document.querySelector("[role=alert]");

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
  const isAdminPage = location.hash.length > 2; // Stay on this page of the admin.
  if (answer.ok && next.startsWith(dashboard.pathname) && !isAdminPage) location.assign(next);
  else if (answer.ok) location.reload();
  else if (answer.status === 401) message.textContent = "No staff account has this name and password.";
  else if (answer.headers.get("Content-Type").startsWith("text/plain")) message.textContent = text;
  else message.textContent = "Signing in is not possible right now.";
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn().catch(() => { message.textContent = "The service does not answer."; });
});

const form = document.querySelector("form");
const said = document.querySelector("[role=alert]");

async function signIn() {
  const answer = await fetch("/admin/public/login/", {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": document.cookie.match(/csrftoken=([^;]+)/)[1],
    },
    body: JSON.stringify(Object.fromEntries(new FormData(form))),
  });
  const text = await answer.text();
  if (answer.ok) location.reload(); // What is after the # stays, and is shown.
  else said.textContent = answer.status === 401 ? "Wrong name or password." : text;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  signIn().catch(() => { said.textContent = "The service does not answer."; });
});

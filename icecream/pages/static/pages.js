// For every page of staff: all of it is a convenience, and the pages work without it.
const searchField = document.querySelector(".search input");

// A slash begins a search, except where people type text.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, dialog[open]")) return;
  event.preventDefault();
  searchField?.focus();
  searchField?.select();
});

// Filters with check boxes apply at once.
for (const form of document.querySelectorAll("[data-submit-on-change]")) {
  form.addEventListener("change", (event) => {
    if (event.target.type === "checkbox") form.requestSubmit();
  });
}

// The question of a step is on the page already: open it as a dialog instead of loading the page.
document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  const opener = event.target.closest("a[data-dialog]"), closer = event.target.closest("a[data-close]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
  else if (closer) closer.closest("dialog").close();
  else return;
  event.preventDefault();
});
for (const dialog of document.querySelectorAll("dialog[open]")) {
  dialog.close();
  dialog.showModal();
}

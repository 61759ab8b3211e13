// Takes the token out of the address: the server never gets it as a part of a URL.
"use strict";

const label = document.getElementById("token");
if (label) {
  const field = label.querySelector("input");
  field.value = location.hash.slice(1) || field.value;
  label.hidden = field.value !== "";
  // The address stays in the browser's history.
  history.replaceState(null, "", location.pathname);
}

// The total of the order form, and the payment of an open order. All pages work without this script.
"use strict";

const form = document.querySelector("form[data-currency]");
if (form) {
  const { currency, places, locale } = form.dataset;
  const text = new Intl.NumberFormat(locale, {
    minimumFractionDigits: Number(places),
    maximumFractionDigits: Number(places),
  });
  const total = form.querySelector("#total");
  const update = () => {
    let sum = 0;
    for (const field of form.querySelectorAll("[data-price]")) {
      sum += field.dataset.price * (/^\d+$/.test(field.value) ? Number(field.value) : 0);
    }
    total.value = `${text.format(sum / 10 ** places)}\u00a0${currency}`;
  };
  if (total) {
    total.closest("[hidden]").hidden = false;
    form.addEventListener("input", update);
    // A browser that goes back restores the typed quantities after the page was loaded.
    addEventListener("pageshow", update);
  }
}
document.querySelector("[role=alert][tabindex]")?.focus();

// The pauses get longer: a payment takes seconds, and a refund may take days.
const LONGEST_PAUSE = 60_000;
const watchOrder = (pause) => {
  if (!document.querySelector("#order[data-changing]")) return;
  setTimeout(async () => {
    try {
      const answer = await fetch(location.href, { redirect: "error" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const [now, next] = [document, page].map((one) => one.getElementById("order"));
        if (next && next.dataset.status !== now.dataset.status) now.replaceWith(next);
      }
    } catch {
      // The next try may succeed.
    }
    watchOrder(Math.min(pause * 1.5, LONGEST_PAUSE));
  }, pause);
};
watchOrder(1500);

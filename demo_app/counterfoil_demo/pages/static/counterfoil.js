// What the pages do beyond links and forms; each works without it.
"use strict";

// A form is sent once: a second click finds its button busy, and going back finds it ready again.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("data-repeats")) return;
  form.dataset.sent = "yes";
  // A button that is disabled at once is not sent along.
  setTimeout(() => form.querySelectorAll("button").forEach((each) => (each.disabled = true)));
});
addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => {
    delete form.dataset.sent;
    form.querySelectorAll("button").forEach((each) => (each.disabled = false));
  });
});

// The page's own program is asked now and then: when it is gone the page says so, and when it
// is back the page goes on.
const PATIENCE_MS = 5000;
async function ask() {
  let answers = false;
  try {
    answers = (await fetch("/alive", { cache: "no-store" })).ok;
  } catch {
    // Nobody there.
  }
  document.documentElement.classList.toggle("is-offline", !answers);
}
setInterval(() => document.hidden || ask(), PATIENCE_MS);

document.addEventListener("alpine:init", () => {
  // A passphrase is shown and hidden.
  Alpine.data("secret", () => ({
    shown: false,
    toggle() {
      this.shown = !this.shown;
    },
    get type() {
      return this.shown ? "text" : "password";
    },
    get pressed() {
      return String(this.shown);
    },
  }));
  // A text is copied.
  Alpine.data("copied", () => ({
    done: false,
    async copy() {
      await navigator.clipboard.writeText(this.$refs.text.textContent);
      this.done = true;
    },
  }));
});

// A quote's time drains, is said now and then, and blocks what it held when it is over.
"use strict";

(() => {
  const ring = document.getElementById("ring");
  const holds = document.getElementById("holds");
  if (!ring || !holds) return;
  const said = document.getElementById("left");
  const picture = ring.querySelector("svg");
  const [value, unit] = picture.querySelectorAll("text");
  const end = performance.now() + Number(ring.dataset.left) * 1000;
  const whole = Number(ring.dataset.whole);
  const told = new Set([60, 30, 10, 0]);

  function tick() {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    value.textContent = left;
    unit.textContent = ring.dataset.unit;
    const text = `${left} ${ring.dataset.unit}`;
    picture.setAttribute("aria-label", text);
    picture.querySelector(".ring__arc").setAttribute("stroke-dasharray", `${(100 * left) / whole} 100`);
    if (told.has(left)) said.textContent = text;
    if (left > 0) return;
    clearInterval(clock);
    holds.hidden = true;
    document.getElementById("over").hidden = false;
  }

  const clock = setInterval(tick, 1000);
  tick();
})();

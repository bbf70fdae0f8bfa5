// The course of one brand's points, drawn from the table that stands below it.
"use strict";

(() => {
  let drawn = null;

  function colour(name) {
    // The tokens are light-dark(…): only a computed colour says which one holds now.
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  function draw() {
    const place = document.getElementById("plot");
    const rows = [...document.querySelectorAll("#days tbody tr")];
    drawn?.destroy();
    drawn = null;
    if (!place || !rows.length || typeof uPlot === "undefined") return;
    const days = rows.map((row) => Date.parse(row.dataset.day) / 1000);
    const held = rows.map((row) => Number(row.dataset.units) / 100);
    const language = place.dataset.language === "en" ? "en-GB" : place.dataset.language;
    const number = new Intl.NumberFormat(language);
    const day = new Intl.DateTimeFormat(language, {
      day: "numeric", month: "short", timeZone: "UTC",
    });
    const axis = {
      stroke: colour("--ink-2"),
      grid: { stroke: colour("--rule"), width: 1 },
      ticks: { show: false },
      font: "12px sans-serif",
    };
    drawn = new uPlot(
      {
        width: place.clientWidth,
        height: 180,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false }, y: { range: (_, __, high) => [0, high > 0 ? high * 1.1 : 1] } },
        axes: [
          { ...axis, values: (_, at) => at.map((each) => day.format(each * 1000)), space: 70 },
          { ...axis, values: (_, at) => at.map((each) => number.format(each)), size: 56 },
        ],
        series: [
          {},
          {
            stroke: colour("--carbon"),
            width: 2,
            paths: uPlot.paths.stepped({ align: 1 }),
            // The last day alone is marked: it is now.
            points: { show: true, size: 9, filter: (chart) => [chart.data[0].length - 1] },
                },
        ],
      },
      [days, held],
      place,
    );
  }

  draw();
  addEventListener("resize", draw);
  for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
    matchMedia(query).addEventListener("change", draw);
  }
  // The page may get other points in place: then there is a plot with nothing in it.
  new MutationObserver(() => document.querySelector("#plot:empty") && draw()).observe(
    document.getElementById("main"),
    { childList: true, subtree: true },
  );
})();

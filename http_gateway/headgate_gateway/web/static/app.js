// What a page cannot do without script: times of the viewer's zone, copying, plots.
"use strict";
(() => {
  const zone = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  });

  function localTimes(root) {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const moment = new Date(time.dateTime);
      if (!isNaN(moment)) time.textContent = zone.format(moment);
      time.dataset.local = "";
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy || button.parentElement.querySelector("code, pre").textContent;
    const label = button.querySelector("span") || button;
    const before = button.dataset.label || label.textContent;
    button.dataset.label = before;
    try {
      await navigator.clipboard.writeText(text);
      label.textContent = "Copied";
    } catch {
      label.textContent = "Select and copy";
    }
    setTimeout(() => { label.textContent = before; }, 1500);
  });

  // A menu closes where another place is clicked or Escape is pressed.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll(".menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  function colour(name) {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
  const drawn = new Map();
  const waiting = new Set();

  function draw(figure) {
    if (!figure.querySelector(".canvas").clientWidth) { waiting.add(figure); widths.observe(figure); return; }
    const data = JSON.parse(figure.dataset.plot);
    const canvas = figure.querySelector(".canvas");
    drawn.get(figure)?.destroy();
    canvas.replaceChildren();
    figure.querySelector(".legend")?.remove();
    const legend = document.createElement("div");
    legend.className = "legend";
    const values = [];
    const series = data.series.map((one, index) => {
      const stroke = colour(`--plot${(index % 6) + 1}`);
      const entry = document.createElement("span");
      const mark = document.createElement("i");
      mark.style.background = stroke;
      const value = document.createElement("b");
      entry.append(mark, one.name, value);
      legend.append(entry);
      values.push(value);
      return {
        label: one.name, stroke, width: data.bars ? 0 : 2, dash: one.dashed ? [6, 4] : undefined,
        fill: data.bars ? stroke : undefined, points: { show: data.times.length < 2 },
        paths: data.bars ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
      };
    });
    // Bars stand on each other: what is drawn is the sum of a series and those after it.
    const columns = data.series.map((one) => one.values.slice());
    if (data.bars) for (let i = columns.length - 2; i >= 0; i--) columns[i] = columns[i].map((value, at) => (value || 0) + (columns[i + 1][at] || 0));
    if (data.bars) for (const column of columns) column.forEach((value, at) => { if (!value) column[at] = null; });
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const plot = new uPlot({
      width: Math.max(canvas.clientWidth, 200), height: 220, legend: { show: false },
      cursor: { y: false, points: { size: 7 } },
      scales: { y: { range: (u, low, high) => [Math.min(0, low || 0), Math.max((high || 0) * 1.08, 1)] } },
      axes: [{ ...axis, space: 70, values: [
        [86400, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1],
        [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
        [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, null, null, null, null, 1],
      ] }, { ...axis, size: 52, values: (u, splits) => splits.map((one) => (one === null ? "" : short.format(one))) }],
      series: [{}, ...series],
      hooks: {
        setCursor: [(u) => {
          const at = u.cursor.idx;
          data.series.forEach((one, index) => {
            values[index].textContent = at === null || at === undefined || one.values[at] === null ? "" : exact.format(one.values[at]);
          });
        }],
      },
    }, [data.times, ...columns], canvas);
    figure.append(legend);
    drawn.set(figure, plot);
    widths.observe(figure);
  }

  const widths = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const width = target.querySelector(".canvas").clientWidth;
      const plot = drawn.get(target);
      if (width > 0 && waiting.delete(target)) { draw(target); continue; }
      if (plot && width > 0 && width !== plot.width) plot.setSize({ width, height: 220 });
    }
  });

  function ready(root) {
    localTimes(root);
    for (const [figure] of drawn) if (!figure.isConnected) { widths.unobserve(figure); drawn.get(figure).destroy(); drawn.delete(figure); }
    for (const figure of root.querySelectorAll("[data-plot]")) if (!drawn.has(figure)) draw(figure);
  }

  window.headgate = { ready, localTimes, zone };
  ready(document);
  document.addEventListener("htmx:load", (event) => { ready(event.target); });
  // What renews itself waits while somebody reads or types in it.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const part = event.target;
    if (!part.matches?.("[data-renews]")) return;
    const busy = part.querySelector("details[open]") || (part !== document.activeElement && part.contains(document.activeElement));
    if (busy || document.hidden) event.preventDefault();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { for (const figure of [...drawn.keys()]) draw(figure); });
})();

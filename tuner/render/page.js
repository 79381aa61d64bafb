"use strict";
(function () {
  const root = document.documentElement;
  const paper = { width: 660, height: 840 }; // px that an A4 page has for a figure, about
  const drawn = new Map(); // plot element -> the figure as the page holds it
  const every = (what, within) => Array.from((within || document).querySelectorAll(what));

  /* Colours: light or dark, as the system says or as was chosen here. */

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  let printing = false;
  let choice = null;
  try { choice = localStorage.getItem("tune-theme"); } catch { /* a page of a file may have none */ }

  function themed() {
    const name = printing ? "light" : choice || (dark.matches ? "dark" : "light");
    root.dataset.theme = name;
    document.getElementById("theme").textContent = name === "dark" ? "Light colours" : "Dark colours";
    for (const [plot] of drawn) dressed(plot);
  }

  // What is hidden has no size to be drawn in: it changes when it is shown.
  function dressed(plot) {
    if (!shown(plot) || plot.dataset.theme === root.dataset.theme) return;
    plot.dataset.theme = root.dataset.theme;
    Plotly.relayout(plot, { template: template(plot) });
  }

  function template(plot) {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue("--" + name).trim();
    const axis = {
      gridcolor: colour("grid"), zerolinecolor: colour("zero"), linecolor: colour("zero"),
      tickcolor: colour("zero"), spikecolor: colour("muted"),
    };
    const given = drawn.get(plot).layout.template || {};
    const layout = given.layout || {};
    return {
      data: given.data || {},
      layout: {
        ...layout,
        font: { ...layout.font, color: colour("ink") },
        xaxis: { ...layout.xaxis, ...axis },
        yaxis: { ...layout.yaxis, ...axis },
        hoverlabel: {
          ...layout.hoverlabel, bgcolor: colour("panel"), bordercolor: colour("zero"),
          font: { color: colour("ink") },
        },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("accent") },
        annotationdefaults: { ...layout.annotationdefaults, font: { color: colour("ink") }, arrowcolor: colour("muted") },
        shapedefaults: { ...layout.shapedefaults, line: { color: colour("muted") } },
      },
    };
  }

  /* Figures: drawn when they come near, all of them before printing. */

  const settings = {
    displaylogo: false, responsive: true,
    modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  };

  function draw(plot) {
    if (drawn.has(plot)) return;
    const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    drawn.set(plot, figure);
    plot.dataset.theme = root.dataset.theme;
    const layout = { ...figure.layout, template: template(plot), autosize: true };
    delete layout.width;
    // A finger that moves over a figure moves the page.
    const finger = window.matchMedia("(pointer: coarse)").matches;
    if (finger) layout.dragmode = false;
    const bar = { displayModeBar: finger ? false : "hover" };
    Plotly.newPlot(plot, figure.data, layout, { ...settings, ...bar }).then(function () {
      plot.dataset.drawn = "";
      plot.style.minHeight = "";
      for (const button of switches(plot)) said(button, plot);
    });
  }

  const near = new IntersectionObserver(function (seen) {
    for (const one of seen) if (one.isIntersecting) { near.unobserve(one.target); draw(one.target); }
  }, { rootMargin: "600px 0px" });

  function shown(plot) { return plot.offsetParent !== null; }

  function printed(begins) {
    if (printing === begins) return;
    printing = begins;
    themed();
    for (const plot of every(".plot")) {
      if (begins && shown(plot)) draw(plot);
      if (drawn.has(plot) && shown(plot)) {
        const { height = 450 } = drawn.get(plot).layout;
        const size = begins
          ? { width: paper.width, height: Math.min(height, paper.height), autosize: false }
          : { width: null, height, autosize: true };
        Plotly.relayout(plot, size);
      }
    }
  }

  /* Buttons of a figure. */

  function switches(plot) {
    return every("button[data-axis]", plot.closest("figure"));
  }

  function axes(plot, letter) {
    const name = new RegExp("^" + letter + "axis\\d*$");
    return Object.entries(plot._fullLayout)
      .filter(([key, axis]) => name.test(key) && ["linear", "log"].includes(axis.type));
  }

  function said(button, plot) {
    const logarithmic = axes(plot, button.dataset.axis).some(([, axis]) => axis.type === "log");
    button.setAttribute("aria-pressed", String(logarithmic));
  }

  function switched(button) {
    const plot = every(".plot", button.closest("figure"))[0];
    draw(plot);
    const type = button.getAttribute("aria-pressed") === "true" ? "linear" : "log";
    const change = {};
    for (const [key, axis] of axes(plot, button.dataset.axis)) {
      change[key + ".type"] = type;
      const given = (drawn.get(plot).layout[key] || {}).range;
      const range = given && axis.range.map(type === "log" ? Math.log10 : (power) => 10 ** power);
      if (axis.type !== type && range && range.every(Number.isFinite)) change[key + ".range"] = range;
      else change[key + ".autorange"] = true;
    }
    Plotly.relayout(plot, change).then(() => said(button, plot));
  }

  function saved(button) {
    const plot = every(".plot", button.closest("figure"))[0];
    const format = button.dataset.save;
    draw(plot);
    // On white, whatever the page's colours are: that is where it will be put.
    const layout = { ...plot.layout, template: drawn.get(plot).layout.template, paper_bgcolor: "#ffffff" };
    const size = { format, width: plot.clientWidth, height: plot.clientHeight, scale: format === "png" ? 2 : 1 };
    Plotly.toImage({ data: plot.data, layout }, size).then(function (url) {
      const link = document.createElement("a");
      link.href = url;
      link.download = plot.closest("figure").id + "." + format;
      link.click();
    });
  }

  document.addEventListener("click", function (event) {
    followed = event.target.closest("a");
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.axis) switched(button);
    if (button.dataset.save) saved(button);
    if (button.id === "theme") {
      choice = root.dataset.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("tune-theme", choice); } catch { /* then for this visit */ }
      themed();
    }
  });

  /* Sub-pages: the one that the address names is shown, else the report. */

  const report = document.getElementById("report");
  const pages = [report, ...every("article.page")];
  let shownHash = location.hash;
  let followed = null; // the link that was clicked last
  let left = { hash: "", scroll: 0, link: null }; // where the report was left

  function arrived(first) {
    const name = location.hash.slice(1);
    const target = name ? document.getElementById(name) : null;
    const before = pages.find((one) => !one.hidden);
    const now = (target && target.closest("article.page")) || report;
    if (before === report) left = { hash: shownHash, scroll: window.scrollY, link: followed };
    shownHash = location.hash;
    for (const one of pages) one.hidden = one !== now;
    document.title = now.dataset.title;
    if (before === now && !first) return; // the browser itself goes there
    for (const plot of every(".plot", now)) {
      if (!drawn.has(plot)) continue;
      dressed(plot);
      Plotly.Plots.resize(plot);
    }
    const back = now === report && !first && [left.hash, "#report"].includes(location.hash);
    if (back) window.scrollTo(0, left.scroll);
    else if (target && target !== now) target.scrollIntoView();
    else window.scrollTo(0, 0);
    const focus = back ? left.link : now.querySelector("h2");
    if (first || !focus) return;
    if (!back) focus.tabIndex = -1;
    focus.focus({ preventScroll: true });
  }

  /* The table of contents says where one is. */

  const contents = new Map(every("nav > ul a").map((link) => [link.hash.slice(1), link]));
  const here = new IntersectionObserver(function (seen) {
    for (const one of seen) {
      const link = contents.get(one.target.id);
      if (!link || !one.isIntersecting) continue;
      for (const other of contents.values()) other.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -85% 0px" });

  themed();
  arrived(true);
  window.addEventListener("hashchange", () => arrived(false));
  for (const plot of every(".plot")) near.observe(plot);
  for (const section of every("#report > section")) here.observe(section);
  dark.addEventListener("change", themed);
  window.addEventListener("beforeprint", () => printed(true));
  window.addEventListener("afterprint", () => printed(false));
})();

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

  // What is hidden has no size to be drawn in: it changes when it is shown, or unfolded.
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
      if (asked(plot)) answered(plot);
    });
  }

  const near = new IntersectionObserver(function (seen) {
    for (const one of seen) if (one.isIntersecting) { near.unobserve(one.target); draw(one.target); }
  }, { rootMargin: "600px 0px" });

  function shown(plot) { return plot.offsetParent !== null && !plot.closest("details:not([open])"); }

  let unfolded = []; // what was opened to be printed

  function printed(begins) {
    if (printing === begins) return;
    printing = begins;
    if (begins) unfolded = every("details.fold:not([open])");
    for (const fold of unfolded) fold.open = begins;
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

  /* Folded sections: a link to what is in one opens it, and its figures take its width. */

  function unfold(target) {
    for (let at = target; at; at = at.parentElement) {
      if (at.matches("details.fold")) at.open = true;
      const own = at === target ? at.querySelector(":scope > details.fold") : null;
      if (own) own.open = true;
    }
  }

  document.addEventListener("toggle", function (event) {
    if (!event.target.open || printing) return;
    for (const plot of every(".plot", event.target)) {
      if (!drawn.has(plot) || !shown(plot)) continue;
      dressed(plot);
      Plotly.Plots.resize(plot);
    }
  }, true);

  /* What a reader asks of a figure: one of its views, and a bound on a metric. */

  const questions = new Map(); // plot element -> its views and bounds as the page holds them

  function asked(plot) {
    const held = document.getElementById(plot.closest("figure").id + "-asked");
    if (held && !questions.has(plot)) questions.set(plot, JSON.parse(held.textContent));
    return questions.get(plot);
  }

  function part(plot, name) { return every("[data-" + name + "]", plot.closest("figure"))[0]; }

  function view(plot) {
    const select = part(plot, "views");
    return select ? Number(select.value) : 0;
  }

  // Points that can be deployed, in the order in which they were measured: [id, point].
  function points(plot, place) {
    return Object.entries(asked(plot).points).filter(([, one]) => one.place === place);
  }

  function metric(plot) {
    const index = Number(part(plot, "metric").value);
    return { index, ...asked(plot).metrics[index] };
  }

  function bound(plot) {
    const text = part(plot, "bound").value;
    return text === "" ? null : Number(text);
  }

  function holds(one, of, limit) {
    const value = one.values[of.index];
    return value !== null && (of.most ? value <= limit : value >= limit);
  }

  // Fewest replicas, then cores, then MiB; of equals the best in what was bounded.
  function cheapest(candidates, of, limit) {
    const sign = of.most ? 1 : -1;
    return candidates
      .filter(([, one]) => holds(one, of, limit))
      .sort(([, a], [, b]) => a.rank - b.rank || sign * (a.values[of.index] - b.values[of.index]))[0];
  }

  // The least and the greatest value of a metric in what is shown; a slider moves between them.
  function ends(plot, of) {
    const place = asked(plot).places[view(plot)];
    const values = points(plot, place).map(([, one]) => one.values[of.index]).filter((v) => v !== null);
    return values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  }

  function between(low, high, share) {
    return low > 0 ? low * (high / low) ** share : low + (high - low) * share;
  }

  function stands(low, high, value) {
    if (high <= low) return 1;
    const share = low > 0 && value > 0 ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return Math.min(1, Math.max(0, share));
  }

  function named(of, limit) {
    return of.name + (of.most ? " of at most " : " of at least ") + limit + (of.unit ? " " + of.unit : "");
  }

  function verdict(candidates, of, limit) {
    const best = cheapest(candidates, of, limit);
    if (best) return best[1].deploy + ", " + of.name + " " + best[1].texts[of.index] + " " + of.unit;
    const sign = of.most ? 1 : -1;
    const nearest = candidates
      .filter(([, one]) => one.values[of.index] !== null)
      .sort(([, a], [, b]) => sign * (a.values[of.index] - b.values[of.index]))[0];
    return nearest
      ? "nothing that was measured holds it; the nearest is " + nearest[1].deploy + ", " + of.name
        + " " + nearest[1].texts[of.index] + " " + of.unit
      : "nothing was measured";
  }

  // The sentences need no drawing: they are there before it.
  function told(plot) {
    const known = asked(plot);
    const line = part(plot, "cheapest");
    if (!line) return;
    const of = metric(plot), limit = bound(plot), place = known.places[view(plot)];
    part(plot, "sense").textContent = of.most ? "at most" : "at least";
    part(plot, "unit").textContent = of.unit;
    const [low, high] = ends(plot, of);
    const free = of.most ? 1000 : 0;
    part(plot, "slide").value = limit === null ? free : Math.round(1000 * stands(low, high, limit));
    const elsewhere = part(plot, "elsewhere");
    if (elsewhere) elsewhere.parentElement.hidden = limit === null;
    line.classList.toggle("hint", limit === null);
    if (limit === null) {
      line.textContent = "With a bound, what misses it is dimmed and the cheapest that holds it is named.";
      return;
    }
    const here = points(plot, place);
    const count = here.filter(([, one]) => holds(one, of, limit)).length;
    const best = cheapest(here, of, limit);
    const where = known.places.length > 1 ? " for " + place : "";
    line.textContent = (best ? "Cheapest with " : "With ") + named(of, limit) + where + ": "
      + verdict(here, of, limit) + ". " + count + " of " + here.length + " measured configurations hold it.";
    if (!elsewhere) return;
    elsewhere.replaceChildren(...known.places.map(function (other) {
      const item = document.createElement("li");
      item.textContent = other + ": " + verdict(points(plot, other), of, limit);
      return item;
    }));
  }

  function answered(plot) {
    told(plot);
    if (plot.dataset.drawn === undefined) return;
    const known = asked(plot), traces = drawn.get(plot).data;
    const visible = traces.map((_, i) => known.views.length === 0 || known.views[view(plot)].includes(i));
    if (!known.metrics) { Plotly.restyle(plot, { visible }); return; }
    const of = metric(plot), limit = bound(plot), ring = traces.length - 1;
    const best = limit === null ? undefined : cheapest(points(plot, known.places[view(plot)]), of, limit);
    visible[ring] = false;
    const change = { visible };
    change["marker.opacity"] = traces.map((trace) => (limit === null || !trace.ids ? 1
      : trace.ids.map((id) => (known.points[id] && holds(known.points[id], of, limit) ? 1 : 0.15))));
    // Bars cannot be dimmed one by one.
    for (const axis of ["error_x", "error_y"]) {
      change[axis + ".visible"] = traces.map((trace) => (trace[axis] ? limit === null : undefined));
    }
    Plotly.restyle(plot, change).then(function () {
      const at = best && plot._fullData.find((trace) => trace.visible === true && (trace.ids || []).includes(best[0]));
      if (!at) return;
      const k = Array.from(at.ids).indexOf(best[0]);
      Plotly.restyle(plot, { x: [[at.x[k]]], y: [[at.y[k]]], visible: true }, [ring]);
    });
  }

  document.addEventListener("input", function (event) {
    const figure = event.target.closest("figure");
    const plot = figure && every(".plot", figure)[0];
    if (!plot || !asked(plot)) return;
    if (event.target.matches("[data-slide]")) {
      const of = metric(plot), [low, high] = ends(plot, of), at = Number(event.target.value) / 1000;
      part(plot, "bound").value = at === (of.most ? 1 : 0) ? "" : Number(between(low, high, at).toPrecision(3));
    }
    if (event.target.matches("[data-metric]")) {
      const own = metric(plot).bound;
      part(plot, "bound").value = own === null ? "" : own;
    }
    answered(plot);
  });

  /* Buttons of a figure, and of commands. */

  function copied(button) {
    const box = every("pre", button.parentElement)[0];
    const done = () => {
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
    // A page of a file may have no clipboard: then what is selected is copied the older way.
    const older = () => {
      window.getSelection().selectAllChildren(box);
      if (document.execCommand("copy")) done();
    };
    if (navigator.clipboard) navigator.clipboard.writeText(box.textContent).then(done, older);
    else older();
  }

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
    if (button.dataset.copy !== undefined) copied(button);
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
    if (target) unfold(target);
    for (const one of pages) one.hidden = one !== now;
    document.title = now.dataset.title;
    if (before === now && !first) { if (target) target.scrollIntoView(); return; }
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

  for (const plot of every(".plot")) {
    if (!asked(plot)) continue;
    if (asked(plot).metrics) {
      const own = metric(plot).bound;
      if (own !== null) part(plot, "bound").value = own;
    }
    told(plot);
  }
  themed();
  arrived(true);
  window.addEventListener("hashchange", () => arrived(false));
  for (const plot of every(".plot")) near.observe(plot);
  for (const section of every("#report > section")) here.observe(section);
  dark.addEventListener("change", themed);
  window.addEventListener("beforeprint", () => printed(true));
  window.addEventListener("afterprint", () => printed(false));
})();

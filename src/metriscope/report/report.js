"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const button = (properties, ...children) => make("button", { type: "button", ...properties }, ...children);
  // What pack() of page.py made.
  const unpack = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).json();
  };
  const tell = (sentence) => { document.getElementById("status").textContent = sentence; };

  // ---------------------------------------------------------------------------------------- theme
  const KEY = "metriscope-theme";
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* not allowed */ } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme || (system.matches ? "dark" : "light");
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();

  const addTheme = () => {
    const change = button({ className: "theme" });
    const name = () => { change.textContent = theme() === "dark" ? "Light page" : "Dark page"; };
    change.addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      remember(root.dataset.theme);
      name();
    });
    system.addEventListener("change", name);
    name();
    document.querySelector("header").append(change);
  };

  // ----------------------------------------------------------------------------------------- sort
  const collator = new Intl.Collator("en", { numeric: true });
  const value = (row, place, kind) => {
    const cell = row.cells[place];
    if (kind === "number") return "value" in cell.dataset ? Number(cell.dataset.value) : null;
    return cell.textContent.trim() || null;
  };
  const sorted = (rows, place, kind, down) => {
    const compare = kind === "number" ? (a, b) => a - b : collator.compare;
    const keyed = rows.map((row) => [value(row, place, kind), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // undefined is last, always
      return down ? compare(b, a) : compare(a, b);
    });
    return keyed.map(([, row]) => row);
  };
  const addSort = (table) => {
    const body = table.tBodies[0], rows = [...body.rows], heads = all("th[data-sort]", table);
    if (rows.length < 2) return;
    for (const head of heads) {
      const ways = head.dataset.better ? ["descending", "ascending"] : ["ascending", "descending"];
      const sort = button({ className: "sort" }, ...head.childNodes);
      head.replaceChildren(sort);
      head.setAttribute("aria-sort", "none");
      sort.addEventListener("click", () => {
        const way = [...ways, "none"][ways.indexOf(head.ariaSort) + 1];
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", way);
        const { sort: kind } = head.dataset, down = way === "descending";
        body.append(...(way === "none" ? rows : sorted(rows, head.cellIndex, kind, down)));
      });
    }
  };

  // ----------------------------------------------------------------------------------------- copy
  const copyByHand = (text) => {
    const area = make("textarea", { value: text, className: "unseen", readOnly: true });
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus();
    return done;
  };
  const copy = async (text, what) => {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = copyByHand(text);
    }
    tell("");
    requestAnimationFrame(() => tell(done ? `${what} copied.` : "This browser does not let pages copy."));
    return done;
  };
  const copier = (label, read, what, className = "") => {
    const press = button({ className }, label);
    press.addEventListener("click", async () => {
      const done = await copy(await read(), what);
      press.textContent = done ? "copied" : "not copied";
      setTimeout(() => { press.textContent = label; }, 1500);
    });
    return press;
  };
  const addCopy = (source) => {
    const title = source.previousElementSibling.querySelector("caption").textContent;
    const presses = ["CSV", "Markdown", "LaTeX"].map((name) => {
      const press = copier(name, async () => (await unpack(source))[name], `${title} as ${name}`);
      press.setAttribute("aria-label", `Copy ${title} as ${name}`);
      return press;
    });
    source.after(make("div", { className: "tools" }, "Copy as", ...presses));
  };

  // --------------------------------------------------------------------------------------- tables
  const LONG = 60; // rows; more scroll under their heads, and say so
  const addScroll = (box) => {
    const rows = all("tbody tr", box).length;
    if (rows <= LONG) return;
    box.classList.add("long");
    box.before(make("p", { className: "more" }, `${rows} rows: scroll inside the table to see them all.`));
  };
  const addTools = (inside) => {
    all("table", inside).forEach(addSort);
    all(".scroll", inside).forEach(addScroll);
    all("script.texts", inside).forEach(addCopy);
  };
  const addFolded = (source) => {
    source.parentElement.addEventListener("toggle", async () => {
      const template = make("template", { innerHTML: await unpack(source) });
      const box = make("div", {}, template.content);
      source.replaceWith(box);
      addTools(box);
    }, { once: true });
  };

  // --------------------------------------------------------------------------------------- charts
  const given = new Map(); // figure -> what plotly gets for each of its planes
  const drawn = new Set();
  const letters = (text) => text.replace(/&[^;]+;/g, ".").length;
  // Breaks a title into lines that fit; it is ready for plotly, which has no way to do that.
  const fold = (text, pixels) => {
    const lines = [], most = Math.max(12, Math.floor(pixels / 8));
    for (const word of text.replaceAll("<br>", " ").split(" ")) {
      const last = lines.at(-1);
      if (last !== undefined && letters(last) + letters(word) < most) lines[lines.length - 1] = `${last} ${word}`;
      else lines.push(word);
    }
    return lines.join("<br>");
  };
  // A title is centred on the inside of its plane: it may be as long as fits on the narrower side.
  const foldTitles = (plane, layout) => {
    const { l, r, t, b, w, h } = plane._fullLayout._size;
    const room = {
      "title": [layout.title, plane.clientWidth - l],
      "xaxis.title": [layout.xaxis.title, w + 2 * Math.min(l, r)],
      "yaxis.title": [layout.yaxis.title, h + 2 * Math.min(t, b)],
    };
    const { title, xaxis, yaxis } = plane.layout;
    const shown = { "title": title, "xaxis.title": xaxis.title, "yaxis.title": yaxis.title };
    const changes = Object.entries(room)
      .map(([name, [given, pixels]]) => [name, fold(given?.text ?? "", pixels)])
      .filter(([name, text]) => text !== (shown[name]?.text ?? ""))
      .map(([name, text]) => [`${name}.text`, text]);
    if (changes.length) Plotly.relayout(plane, Object.fromEntries(changes));
  };
  const planesOf = (figure) => all(".plane", figure);
  const draw = (figure) => {
    if (drawn.has(figure) || !given.has(figure)) return;
    drawn.add(figure);
    planesOf(figure).forEach((plane, i) => {
      const { data, layout, config } = given.get(figure)[i];
      Plotly.newPlot(plane, data, structuredClone(layout), config);
      foldTitles(plane, layout);
    });
  };
  const fit = () => drawn.forEach((figure) => planesOf(figure).forEach((plane, i) => {
    Plotly.relayout(plane, { autosize: true });
    foldTitles(plane, given.get(figure)[i].layout);
  }));
  const watchCharts = () => {
    const near = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((entry) => entry.isIntersecting)) {
        near.unobserve(entry.target);
        draw(entry.target);
      }
    }, { rootMargin: "400px" });
    // All are unpacked at once: printing waits for nothing.
    all("figure.chart").forEach(async (figure) => {
      given.set(figure, await unpack(figure.querySelector(".drawn")));
      near.observe(figure);
    });
  };

  // ---------------------------------------------------------------------------------------- print
  // Everything is drawn, at the width of the paper, before the browser makes pages of it.
  const PAPER = 680, BLOCK = 600; // pixels: the width of the paper, and of columns that share it
  // A table too wide to be read on paper is printed as several with the names of the rows.
  const split = (table) => {
    const [own, ...widths] = [...table.tHead.rows[0].cells].map((head) => head.offsetWidth);
    const groups = [];
    let room = 0;
    widths.forEach((width, i) => {
      if (!groups.length || width > room) {
        groups.push([]);
        room = BLOCK - own;
      }
      groups.at(-1).push(i + 1);
      room -= width;
    });
    const blocks = groups.map((group) => {
      const block = table.cloneNode(true);
      block.classList.add("block");
      for (const row of block.rows) [...row.cells].forEach((cell, i) => { if (i && !group.includes(i)) cell.remove(); });
      return block;
    });
    table.after(...blocks);
    table.classList.add("whole");
  };
  const shrink = (table) => { table.style.zoom = Math.min(1, PAPER / table.offsetWidth); };
  let closed = null;
  const beforePrint = () => {
    if (closed) return;
    closed = all("details.part:not([open])");
    closed.forEach((part) => { part.open = true; });
    root.classList.add("printing");
    fit();
    all("figure.chart").forEach(draw);
    all("table").filter((table) => table.offsetWidth > PAPER).forEach(split);
    all("table:not(.whole)").forEach(shrink);
  };
  const afterPrint = () => {
    if (!closed) return;
    root.classList.remove("printing");
    all("table.block").forEach((block) => block.remove());
    all("table").forEach((table) => { table.classList.remove("whole"); table.style.zoom = ""; });
    fit();
    closed.forEach((part) => { part.open = false; });
    closed = null;
  };

  // ------------------------------------------------------------------------------------- contents
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    target.scrollIntoView();
  };

  document.addEventListener("DOMContentLoaded", () => {
    addTheme();
    addTools(document);
    all("script.table").forEach(addFolded);
    const command = document.querySelector(".command");
    command?.after(copier("Copy", () => command.textContent, "The command", "again"));
    if (!matchMedia("(min-width: 76rem)").matches) document.querySelector("nav > details").open = false;
    watchCharts();
    addEventListener("beforeprint", beforePrint);
    addEventListener("afterprint", afterPrint);
    matchMedia("print").addEventListener("change", (event) => (event.matches ? beforePrint() : afterPrint()));
    addEventListener("hashchange", reveal);
    reveal();
  });
})();

/* Lays a lesson out on pages of 1280 x 720 and starts reveal.js.

The notebook's slide types make sections (reveal's own structure). What a section holds is taken apart into blocks
(a heading, a paragraph, code, an output, a picture), measured at full size, and put on as many vertical slides as it
takes, broken where it hurts least. Sizes shrink only down to a floor; what is still too large is split. */
"use strict";
const deck = (() => {
  const WIDTH = 1216, HEIGHT = 628, GAP = 18, RUNNING = 34 + GAP; // pixels of the page, inside its margins
  const CODE = { best: 22, wrap: 18, least: 17 }; // pixels: code and printed text; below `wrap` long lines wrap instead
  const TABLE = 17; // pixels: the floor of tables and formulas
  const PICTURE = { least: 1.2, good: 1.7 }; // times the size in the notebook, 640 pixels across
  const EXPLORER = 470; // pixels: an explorer with its controls needs at least this height
  const PAGE_COST = 100;

  let measure; // a hidden page in which blocks are measured
  let title = null; // the latest heading, which heads the pages that have none of their own

  const el = (tag, name, ...children) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    made.append(...children);
    return made;
  };

  /* Called as the page streams in: cell `index` was run, the next one is running. */
  function ran(index, count) {
    document.getElementById("progress").textContent = `Running cell ${Math.min(index + 1, count)} of ${count}`;
  }

  /* Blocks: {kind, node, height, least, cell, breakCost}. `height` is wished for, `least` still legible. */

  function put(node) {
    measure.replaceChildren(node);
    return node.getBoundingClientRect().height;
  }

  function proseBlocks(prose) {
    const blocks = [];
    for (const node of [...prose.childNodes]) {
      if (node.nodeType === Node.TEXT_NODE && !node.textContent.trim()) continue;
      if (/^(ASIDE|DETAILS)$/.test(node.nodeName) || node.nodeType === Node.COMMENT_NODE) continue; // folded: not shown
      const loose = node.nodeType === Node.TEXT_NODE || /^(MJX-CONTAINER|A|CODE|EM|STRONG|SPAN|SMALL)$/.test(node.nodeName);
      const last = blocks.at(-1);
      if (loose && last?.loose) last.node.append(node);
      else if (loose) blocks.push({ kind: "text", node: el("p", "", node), loose });
      else if (/^(UL|OL)$/.test(node.nodeName) && put(node.cloneNode(true)) > HEIGHT / 2) blocks.push(...items(node));
      else if (node.nodeName === "PRE" || node.querySelector?.("pre")) blocks.push(...printed(node, "source"));
      else blocks.push({ kind: /^H\d$/.test(node.nodeName) ? "heading" : "text", node });
    }
    for (const block of blocks) {
      if (block.height) continue;
      block.scale = fitWidth(block.node);
      block.height = block.least = put(block.node);
    }
    return blocks;
  }

  function items(list) {
    return [...list.children].map((item, place) => {
      const part = list.cloneNode(false);
      if (list.nodeName === "OL") part.start = (list.start || 1) + place;
      part.append(item);
      return { kind: "text", node: part, item: place > 0 };
    });
  }

  /* Makes a table or a formula that is wider than the page smaller, but not below the floor. */
  function fitWidth(node) {
    measure.replaceChildren(node);
    const parts = [...node.querySelectorAll("svg, table")].map(part => part.getBoundingClientRect().width);
    const wide = Math.max(node.scrollWidth, ...parts);
    const room = node.clientWidth || WIDTH;
    if (wide <= room) return 1;
    const size = parseFloat(getComputedStyle(node).fontSize);
    const scale = Math.max(TABLE / size, (room - 4) / wide);
    node.style.fontSize = `${size * scale}px`;
    return scale;
  }

  /* Turns code or printed text into lines, so that it can be split. Its best size is the largest at which no line
     wraps, if that is at least CODE.wrap; on a full page it may shrink further, to the floor. */
  function printed(given, name) {
    const inner = given.nodeName === "PRE" ? given : given.querySelector("pre");
    const whole = inner.innerHTML.replace(/^(<span><\/span>)?\n?/, "").replace(/\s+$/, "").replace(/\n(\s*\n){2,}/g, "\n\n");
    const lines = whole.split("\n");
    if (lines.length === 1 && !lines[0].trim()) return [];
    const texts = lines.map(line => Object.assign(el("span"), { innerHTML: line }).textContent);
    const build = (part, size) => {
      const pre = el("pre", inner.classList.contains("error") ? `${name} error` : name);
      pre.innerHTML = part.map(line => `<span class="line">${line}</span>`).join("");
      for (const line of pre.children) { // what wraps hangs below its own line
        line.style.setProperty("--hang", `${line.textContent.match(/^ */)[0].length + 4}ch`);
      }
      pre.style.fontSize = `${size}px`;
      return pre;
    };
    const longest = Math.max(...texts.map(text => [...text].length));
    const best = Math.min(CODE.best, Math.max(CODE.wrap, (WIDTH - 40) / (longest * characterWidth())));
    const room = HEIGHT - RUNNING;
    const tall = put(build(lines, CODE.least));
    const parts = [];
    for (let start = 0, left = Math.ceil(tall / room); left > 0; left--) {
      const most = Math.floor((lines.length * room) / tall) - 1; // lines on a page
      const end = left === 1 ? lines.length : calmest(texts, start, left, most);
      parts.push(lines.slice(start, end));
      start = end;
    }
    const blank = line => !line.trim();
    return parts.map((part, place) => {
      while (blank(part[0])) part.shift();
      while (blank(part.at(-1))) part.pop();
      const node = build(part, best);
      return { kind: name, node, best, part: place, height: put(node), least: put(build(part, CODE.least)) };
    });
  }

  /* The width of a character of the code's font, in units of its size. */
  function characterWidth() {
    const text = el("span", "", "0".repeat(100));
    put(el("pre", "", text));
    return text.getBoundingClientRect().width / 100 / parseFloat(getComputedStyle(text).fontSize);
  }

  /* Finds the line before which a cut disturbs least: after a blank line, little indented, parts about equal. */
  function calmest(texts, start, left, most) {
    const ideal = start + (texts.length - start) / left;
    let best = Math.round(ideal), least = Infinity;
    for (let at = Math.max(start + 2, texts.length - most * (left - 1)); at <= Math.min(texts.length - 2, start + most); at++) {
      if (!texts[at].trim()) continue;
      const cost = texts[at].match(/^ */)[0].length - (texts[at - 1].trim() ? 0 : 6) + Math.abs(at - ideal) / 3;
      if (cost < least) [best, least] = [at, cost];
    }
    return best;
  }

  /* The size at which the notebook shows a picture; it may be stored with more pixels. */
  function sizeOf(picture) {
    const w = Number(picture.dataset.width) || picture.naturalWidth;
    return { w, h: (picture.naturalHeight * w) / picture.naturalWidth };
  }

  function pictureBlock(node) {
    const { w, h } = sizeOf(node.querySelector("img"));
    const most = Math.min(WIDTH / w, HEIGHT / h);
    return {
      kind: "picture", node, ratio: h / w, most: most * h,
      height: Math.min(PICTURE.good, most) * h, least: Math.min(PICTURE.least, most) * h, natural: h,
    };
  }

  function explorerBlock(node, live) {
    return { kind: "explorer", node, live, height: EXPLORER, least: EXPLORER, most: HEIGHT };
  }

  function codeBlocks(cell, live) {
    const blocks = [];
    let text = null;
    const flush = () => {
      if (text) blocks.push(...printed(text, "output"));
      text = null;
    };
    for (const node of [...cell.children]) {
      if (node.matches("pre.output")) {
        const more = node.innerHTML.replace(/\s+$/, "");
        if (text) text.innerHTML += `\n${more}`;
        else text = Object.assign(el("pre", node.className), { innerHTML: more });
        continue;
      }
      flush();
      if (node.matches("aside")) continue;
      if (node.matches(".explorer")) blocks.push(explorerBlock(node, live));
      else if (node.matches(".picture")) blocks.push(pictureBlock(node));
      else if (node.matches(".prose")) blocks.push(...proseBlocks(node));
      else blocks.push(...printed(node, "source"));
    }
    flush();
    return blocks;
  }

  /* What it costs to end a page before block `b`, which follows block `a`. */
  function breakCost(a, b) {
    if (a.kind === "heading") return Infinity;
    if (a.kind === "picture" && b.kind === "text") return 25; // its reading
    if (a.cell !== b.cell) return 4;
    if (b.part) return 50;
    if (a.kind === "source") return b.kind === "output" ? 35 : 5; // a picture goes with its reading, not with its code
    if (a.kind === "text" && /:\s*$/.test(a.node.textContent)) return 45;
    return 20;
  }

  const gap = (a, b) => (b.item ? 6 : GAP);

  function pageCost(blocks, start, end, continued) {
    const page = blocks.slice(start, end);
    let least = continued ? RUNNING : 0, wished = least;
    page.forEach((block, place) => {
      const space = place ? gap(page[place - 1], block) : 0;
      least += block.least + space;
      wished += block.height + space;
    });
    if (least > HEIGHT + 0.5) return page.length === 1 ? 1e5 : Infinity;
    const squeezed = Math.max(0, wished - HEIGHT) / 2;
    return PAGE_COST + squeezed + (start ? breakCost(blocks[start - 1], blocks[start]) : 0);
  }

  function paginate(blocks) {
    const cost = [0], from = [0];
    for (let end = 1; end <= blocks.length; end++) {
      cost[end] = Infinity;
      for (let start = end - 1; start >= 0; start--) {
        const running = blocks[start].kind !== "heading";
        const total = cost[start] + pageCost(blocks, start, end, running);
        if (total < cost[end]) [cost[end], from[end]] = [total, start];
      }
    }
    const pages = [];
    for (let end = blocks.length; end > 0; end = from[end]) pages.unshift(blocks.slice(from[end], end));
    return pages;
  }

  /* Builds one slide: pictures and explorers share the height that the rest leaves. */
  function build(blocks, notes) {
    const page = el("div", "page");
    let room = HEIGHT;
    if (title && blocks[0].kind !== "heading") {
      page.append(el("div", "running", ...[...title.childNodes].map(part => part.cloneNode(true))));
      room -= RUNNING;
    }
    room -= blocks.reduce((sum, b, i) => sum + (b.best ? b.height : b.least) + (i ? gap(blocks[i - 1], b) : 0), 0);
    const code = blocks.filter(block => block.best);
    for (let factor = 0.98; room < 0 && factor > 0.7; factor -= 0.02) {
      for (const block of code) {
        const size = Math.max(CODE.least, block.best * factor);
        block.node.style.fontSize = `${size}px`;
        block.scale = size / CODE.best;
        room += block.height;
        room -= block.height = put(block.node);
      }
    }
    const growing = blocks.filter(block => block.most);
    for (const block of growing) {
      const height = Math.min(block.most, block.least + Math.max(0, room) / growing.length);
      if (block.kind === "picture") showPicture(block.node.querySelector("img"), height, block);
      else showExplorer(block, height);
    }
    let fragment = blocks[0].fragment; // what a page begins with is there at once
    for (const block of blocks) {
      if (block.item) block.node.style.marginTop = "-12px";
      if (block.fragment !== fragment) {
        block.node.classList.add("fragment");
        block.node.dataset.fragmentIndex = block.fragment;
      }
      page.append(block.node);
    }
    const section = el("section", "", page, ...notes.map(note => note.cloneNode(true)));
    section.dataset.page = "";
    section.dataset.scale = Math.min(...blocks.map(block => block.scale ?? 1)).toFixed(3);
    section.dataset.cells = [...new Set(blocks.map(block => block.cell))].join(" ");
    return section;
  }

  function showPicture(picture, height, block) {
    picture.style.height = `${height}px`;
    picture.style.width = `${height / block.ratio}px`;
    block.scale = Math.min(1, height / block.natural);
  }

  function showExplorer(block, height) {
    block.node.style.height = `${height}px`;
    if (block.live) return;
    const picture = block.node.querySelector("img"), controls = block.node.querySelector(".explorer-controls");
    const { w, h } = sizeOf(picture);
    const scale = Math.min(WIDTH / w, (height - (controls ? put(controls.cloneNode(true)) + 12 : 44)) / h);
    picture.style.width = `${w * scale}px`;
    picture.style.height = `${h * scale}px`;
    block.scale = Math.min(1, scale);
    if (!controls) block.node.append(el("div", "hint", "An explorer: its controls answer in the notebook and in the live deck."));
  }

  function layOut(section, live) {
    const blocks = [];
    let fragment = 0, wrapper = null;
    for (const cell of section.querySelectorAll(".cell")) {
      const inside = cell.closest(".fragment");
      if (inside !== wrapper) [wrapper, fragment] = [inside, fragment + 1];
      const found = cell.classList.contains("code") ? codeBlocks(cell, live) : proseBlocks(cell);
      found.forEach(block => Object.assign(block, { cell: cell.dataset.cell, fragment }));
      blocks.push(...found);
    }
    if (!blocks.length) return [];
    const notes = [...section.querySelectorAll("aside.notes")];
    return paginate(blocks).map(page => {
      const section = build(page, notes);
      title = page.findLast(block => block.kind === "heading")?.node ?? title;
      return section;
    });
  }

  async function start({ live, url }) {
    const slides = document.querySelector(".slides");
    await MathJax.startup.promise;
    await MathJax.typesetPromise([slides]);
    await Promise.all([...slides.querySelectorAll("img")].map(picture => picture.decode().catch(() => {})));
    slides.querySelectorAll(".anchor-link").forEach(link => link.remove());
    measure = el("div", "measure");
    document.querySelector(".reveal").append(measure);
    for (const link of slides.querySelectorAll("a[href]")) {
      if (/^\d\d_\w+\.ipynb$/.test(link.getAttribute("href"))) {
        if (live) link.replaceWith(...link.childNodes);
        else link.href = link.getAttribute("href").replace(".ipynb", ".html");
      }
    }
    for (const stack of slides.querySelectorAll(":scope > section")) {
      const pages = [];
      for (const section of stack.querySelectorAll(":scope > section")) {
        pages.push(...layOut(section, live));
      }
      stack.replaceChildren(...pages);
      stack.dataset.page = "";
      if (!pages.length) stack.remove();
    }
    measure.remove();
    const describe = () => slides.querySelectorAll(".explorer img:not([alt])").forEach(picture => {
      picture.alt = picture.closest(".explorer").dataset.alt;
    });
    if (live) new MutationObserver(describe).observe(slides, { childList: true, subtree: true });
    await Reveal.initialize({
      width: 1280, height: 720, margin: 0, minScale: 0.1, maxScale: 4, center: false, hash: true, transition: "none",
      slideNumber: "c/t", controlsTutorial: false, navigationMode: "default", pdfSeparateFragments: false, url,
      plugins: [RevealNotes],
      keyboardCondition: event => {
        const control = document.activeElement?.closest(".explorer");
        if (control && event.key === "Escape") document.activeElement.blur();
        return !control; // the arrow keys of a control that has the focus move it, not the slide
      },
    });
    document.getElementById("progress").remove();
    document.body.dataset.ready = "";
  }

  return { ran, start };
})();
window.voila_heartbeat = () => {}; // Voilà calls it while a cell takes long

// Shows slide number `index` with all its fragments, and returns what stands on it and what is wrong with it.
(index) => {
  const slide = Reveal.getSlides()[index];
  const { h, v } = Reveal.getIndices(slide);
  Reveal.slide(h, v, 99);
  const faults = [];
  const name = node => `${node.nodeName} ${node.className}`.trim();
  const visible = node => node.getClientRects().length && getComputedStyle(node).visibility === "visible";
  const ours = node => !node.closest("aside, mjx-assistive-mml, .explorer .lm-Widget") && (node.nodeName === "svg" || !node.closest("svg"));

  for (const node of slide.querySelectorAll("*")) {
    if (!visible(node) || !ours(node)) continue;
    const box = node.getBoundingClientRect();
    const sides = [box.left, box.top, innerWidth - box.right, innerHeight - box.bottom];
    if (box.width && Math.min(...sides) < -0.5) faults.push(`${name(node)} leaves the slide: ${sides.map(Math.round)}`);
    const clipped = node.clientWidth && node.scrollWidth > node.clientWidth + 1;
    if (clipped && /^(PRE|P|UL|OL|TABLE|DIV)$/.test(node.nodeName) && !node.matches(".running"))
      faults.push(`${name(node)} is ${node.scrollWidth} wide in a box of ${node.clientWidth}`);
  }
  const blocks = [...slide.querySelector(".page").children].map(node => node.getBoundingClientRect());
  blocks.forEach((box, i) => {
    if (box.bottom > innerHeight - 34) faults.push(`block ${i} ends at ${Math.round(box.bottom)}, in the footer`);
    if (i && box.top < blocks[i - 1].bottom - 1) faults.push(`block ${i} begins before block ${i - 1} ends`);
  });

  const sizes = [];
  const texts = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const { parentElement: parent, textContent: text } = texts.currentNode;
    if (!text.trim() || parent.closest("mjx-container, script") || !visible(parent) || !ours(parent)) continue;
    sizes.push(parseFloat(getComputedStyle(parent).fontSize) * Reveal.getScale());
    if (!parent.closest("pre, code") && /\$[^$]+\$|\$\$|\\\(|\\\[|\\begin/.test(text)) faults.push(`raw maths: ${text}`);
  }
  for (const error of slide.querySelectorAll("mjx-merror, merror, [data-mjx-error]"))
    faults.push(`maths not understood: ${error.getAttribute("data-mjx-error") || error.textContent}`);

  const pictures = [...slide.querySelectorAll("img")].map(picture => {
    const { alt, complete, naturalWidth, naturalHeight, width, height } = picture;
    if (!complete || !naturalWidth) faults.push(`no picture: ${alt || picture.src.slice(0, 60)}`);
    if (!alt.trim()) faults.push("a picture without alternative text");
    return { alt, scale: width / (Number(picture.dataset.width) || naturalWidth || 1), bent: Math.abs(width / height / (naturalWidth / naturalHeight) - 1) };
  });

  const lines = kind => [...slide.querySelectorAll(`pre.${kind} .line`)].map(line => line.textContent.trimEnd());
  const words = slide.cloneNode(true);
  words.querySelectorAll("pre, aside, .running, .hint, mjx-container").forEach(node => node.remove());
  const told = document.createTreeWalker(words, NodeFilter.SHOW_TEXT), parts = [];
  while (told.nextNode()) parts.push(told.currentNode.textContent);
  return {
    h, v, faults, pictures, smallest: Math.min(...sizes, 99), cells: slide.dataset.cells.split(" "),
    source: lines("source"), output: lines("output"), words: parts.join(" "),
    notes: slide.querySelector("aside.notes")?.textContent, formulas: slide.querySelectorAll(".page > :not(.running) mjx-container").length,
  };
}

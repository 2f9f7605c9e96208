// A formula that is wider than its place scrolls in a line of its own, which the keyboard reaches.
// The theme does the same for code and outputs, when the window changes its size; what is unfolded has none before.
function fit() {
  for (const formula of document.querySelectorAll(".bd-article .math")) {
    formula.classList.remove("wide");
    const drawn = formula.querySelector("mjx-container > svg");
    const wide = drawn && drawn.getBoundingClientRect().width > formula.closest("section, article").clientWidth;
    formula.classList.toggle("wide", wide);
    if (wide) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  }
}
window.addEventListener("load", () => window.MathJax?.startup?.promise.then(fit));
window.addEventListener("resize", fit);
document.addEventListener("toggle", () => window.dispatchEvent(new Event("resize")), true);

// A formula that is wider than its place can be scrolled with the keyboard, as the theme does for code and outputs.
function reach() {
  for (const place of document.querySelectorAll("div.math")) {
    if (place.scrollWidth > place.clientWidth) place.tabIndex = 0;
    else place.removeAttribute("tabindex");
  }
}
window.addEventListener("load", () => window.MathJax?.startup?.promise.then(reach));
window.addEventListener("resize", reach);

// An explorer on a page without a kernel: its states were drawn beforehand, and a script beside the page holds them.
// It is loaded when the explorer comes near or is touched. What a state changes is laid over the first picture.
"use strict";
(() => {
  const films = (window.courseFilms ??= {});
  const KEPT = 64; // decoded pictures of an explorer; each may be a megabyte and more

  function setUp(explorer) {
    const still = explorer.querySelector("img"), canvas = document.createElement("canvas");
    const controls = [...explorer.querySelectorAll(".explorer-controls > div")].map(row => control(row, changed));
    const ready = new Map(); // pictures that were decoded, the latest last
    let film, under, wanted = 0, shown = 0;

    const load = () => film ??= new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = `${explorer.dataset.from}/${explorer.dataset.film}.js`;
      script.onload = () => done(films[explorer.dataset.film]);
      script.onerror = () => failed(new Error(`${script.src} cannot be read`));
      document.head.append(script);
    });

    function decoded(part) {
      const bytes = () => Uint8Array.from(atob(part[2]), sign => sign.charCodeAt(0));
      const picture = ready.get(part) ?? createImageBitmap(new Blob([bytes()], { type: "image/webp" }));
      ready.delete(part);
      ready.set(part, picture);
      if (ready.size > KEPT) ready.delete(ready.keys().next().value);
      return picture;
    }

    /* The state that the controls stand for, or would stand for with one of them moved on. */
    const stateOf = (moved, by) => controls.reduce((before, one) =>
      before * one.count + Math.min(one.count - 1, Math.max(0, one.place() + (one === moved ? by : 0))), 0);

    async function changed() {
      const turn = ++wanted, state = stateOf();
      try {
        const { states, first, parts } = await load();
        const part = parts[states[state]];
        under ??= decoded(first);
        const picture = part && await decoded(part), ground = await under;
        if (turn < shown) return; // a later one was quicker
        shown = turn;
        if (still.isConnected) replace();
        const pen = canvas.getContext("2d");
        pen.drawImage(ground, 0, 0);
        if (part) pen.drawImage(picture, part[0], part[1]);
        canvas.dataset.state = state;
        for (const one of controls) for (const by of [-1, 1]) { // what may come next is decoded meanwhile
          const next = parts[states[stateOf(one, by)]];
          if (next) decoded(next);
        }
      } catch (fault) {
        explorer.dataset.fault = fault.message;
        explorer.querySelector(".explorer-controls").textContent = "The pictures of this explorer are not beside the page.";
      }
    }

    function replace() {
      canvas.width = still.naturalWidth;
      canvas.height = still.naturalHeight;
      canvas.style.cssText = still.style.cssText || `width: ${still.width}px`;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", still.alt);
      still.replaceWith(canvas);
    }

    explorer.querySelector(".explorer-controls").hidden = false;
    new IntersectionObserver(([seen], watch) => {
      if (!seen.isIntersecting) return;
      watch.disconnect();
      load().catch(() => {}); // it is told when the explorer is moved
    }, { rootMargin: "600px" }).observe(explorer);
  }

  // A row of controls: how many places it has, and at which it stands.
  function control(row, changed) {
    const made = row.querySelector("select, input") ?? row.querySelector("[data-most]"), told = row.querySelector("output");
    if (made.matches("select")) {
      made.addEventListener("change", changed);
      return { count: made.options.length, place: () => made.selectedIndex };
    }
    if (made.matches("[type=checkbox]")) {
      made.addEventListener("change", changed);
      return { count: 2, place: () => Number(made.checked) };
    }
    if (made.matches("button")) {
      const most = Number(made.dataset.most);
      let pressed = 0;
      made.addEventListener("click", () => {
        told.textContent = pressed = Math.min(pressed + 1, most);
        made.disabled = pressed === most;
        changed();
      });
      return { count: most + 1, place: () => pressed };
    }
    const words = JSON.parse(made.dataset.words), player = row.querySelector("[data-play]");
    const say = () => {
      told.textContent = words[made.value];
      made.setAttribute("aria-valuetext", words[made.value]);
      changed();
    };
    made.addEventListener("input", say);
    if (player) play(player, made, say);
    else made.setAttribute("aria-valuetext", words[made.value]);
    return { count: words.length, place: () => Number(made.value) };
  }

  // Goes from value to value up to the last; pressed there, it begins anew.
  function play(player, slider, say) {
    let running = 0;
    const stop = () => {
      running = clearInterval(running) ?? 0;
      player.textContent = "play";
    };
    player.addEventListener("click", () => {
      if (running) return stop();
      if (slider.value === slider.max) slider.value = 0;
      player.textContent = "stop";
      running = setInterval(() => {
        slider.value = Number(slider.value) + 1;
        say();
        if (slider.value === slider.max) stop();
      }, Number(player.dataset.play));
    });
    slider.addEventListener("pointerdown", stop);
    slider.addEventListener("keydown", stop);
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-film]").forEach(setUp));
})();

"use strict";
// Images are put in only where the page's own style blurs them, and are shown when they are clicked.
(() => {
  const shots = JSON.parse(document.getElementById("shots").textContent);
  function veil() {
    const button = document.createElement("button");
    button.className = "veil";
    button.type = "button";
    button.append(new Image());
    return button;
  }
  const probe = veil();
  document.body.append(probe);
  const blurWorks = getComputedStyle(probe.firstChild).filter.includes("blur");
  probe.remove();
  for (const place of document.querySelectorAll("[data-shot]")) {
    const missing = (why) => {
      const note = document.createElement("div");
      note.className = "no-shot";
      note.textContent = why;
      place.replaceChildren(note);
    };
    if (!blurWorks) { missing("Images are left out: this page cannot blur them."); continue; }
    const button = veil(), image = button.firstChild, hint = document.createElement("span");
    const name = place.closest(".pair").querySelector("header code").textContent;
    hint.className = "hint";
    const set = (shown) => {
      button.setAttribute("aria-pressed", String(shown));
      button.setAttribute("aria-label", `${shown ? "Blur" : "Show"} the image of ${name}`);
      hint.textContent = shown ? "Click to blur again." : "Blurred. Click to show.";
    };
    set(false);
    image.alt = "";
    image.addEventListener("error", () => missing("The image cannot be shown."));
    image.src = `data:image/jpeg;base64,${shots[Number(place.dataset.shot)]}`;
    button.addEventListener("click", () => set(button.getAttribute("aria-pressed") !== "true"));
    button.append(hint);
    place.replaceChildren(button);
  }
})();

"use strict";
// The token stands in this page's address, goes out in a header, and nowhere else. What the dataset says becomes text
// nodes only. A full image is asked for when its button is pressed, and forgotten when the pair is left.
(() => {
  const token = location.pathname.slice("/review/".length);
  const $ = (id) => document.getElementById(id);
  const LONG = 900;
  let about, annotator = "", item = null, busy = Promise.resolve(), blobs = [];

  function element(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "onclick") node.addEventListener("click", value); else node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  // asking the server

  async function ask(path, body) {
    const headers = { "X-Review-Token": token };
    const options = body === undefined ? { headers } : { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) };
    let response;
    try {
      response = await fetch(path, { ...options, cache: "no-store", redirect: "error", keepalive: body !== undefined });
    } catch {
      throw new Error("Not kept: the server cannot be reached. Start the same command again and open its new link; all that was kept before is there.");
    }
    if (!response.ok) {
      const text = await response.text();
      let why = text;
      try { why = JSON.parse(text).error || text; } catch { /* plain words */ }
      throw new Error(why || `the server answered ${response.status}`);
    }
    return response;
  }
  const read = async (path, body) => (await ask(path, body)).json();

  // One act after the other, in the order in which they were done: the page shows what the server has kept.
  function act(work) {
    busy = busy.then(work).then(() => { $("alarm").hidden = true; }, (error) => {
      $("alarm").textContent = error.message;
      $("alarm").hidden = false;
      say("");
    });
    return busy;
  }
  function say(text) { $("said").textContent = text; }
  const query = (values) => new URLSearchParams({ annotator, ...values }).toString();

  // who reviews

  function show(part) {
    for (const id of ["start", "pair", "end"]) $(id).hidden = id !== part;
    $("who").hidden = $("progress").hidden = part === "start";
  }
  async function begin() {
    about = await read("/api/about");
    $("dataset").textContent = about.dataset;
    document.title = `${about.dataset} · vsil-audit review`;
    layCriteria();
    const names = about.annotators.map((one) => one.name);
    const kept = remembered.get();
    if (names.includes(kept)) return choose(kept);
    if (!about.open && names.length === 1) return choose(names[0]);
    leaveItem();
    $("people").replaceChildren(...about.annotators.map((one) => element("li", {},
      element("button", { type: "button", onclick: () => act(() => choose(one.name)) },
        element("bdi", {}, one.name), element("span", { class: "quiet num" }, `${one.done} of ${one.total} done`)))));
    $("join").hidden = !about.open;
    annotator = "";
    show("start");
    (about.annotators.length ? $("people").querySelector("button") : $("new-name")).focus();
  }
  const remembered = { get() { try { return sessionStorage.getItem("annotator"); } catch { return null; } },
    set(name) { try { name ? sessionStorage.setItem("annotator", name) : sessionStorage.removeItem("annotator"); } catch { /* no storage */ } } };
  async function choose(name) {
    annotator = (await read("/api/join", { name })).name;
    remembered.set(annotator);
    $("name").textContent = annotator;
    $("change").hidden = !about.open && about.annotators.length === 1;
    say("");
    await go({ after: -1 });
  }

  // one item

  function leaveItem() {
    for (const blob of blobs) URL.revokeObjectURL(blob);
    blobs = [];
    item = null;
    $("pictures").replaceChildren();
  }
  async function go(where) {
    const found = await read(`/api/item?${query(where)}`);
    const before = item;
    leaveItem();
    if (!found) return finished(before);
    item = found;
    $("pair-title").textContent = `Pair ${item.position + 1} of ${item.progress.total}`;
    layText();
    layPictures();
    $("told").open = false;
    $("told").hidden = !item.told.length;
    $("told-list").replaceChildren(...item.told.flatMap(([name, said]) => [element("dt", {}, name), element("dd", { dir: "auto" }, said)]));
    $("where").replaceChildren(`${item.position + 1} of ${item.progress.total} in your order · `, element("bdi", { class: "mono" }, item.id));
    $("note").value = item.note;
    hold(item);
    show("pair");
    scrollTo(0, 0);
    $("pair-title").focus({ preventScroll: true });
  }
  function finished(before) {
    show("end");
    const last = before ? before.position : 0;
    $("look-back").onclick = () => act(() => go({ position: last }));
    $("end-said").textContent = `All ${about.items} ${about.items === 1 ? "pair is" : "pairs are"} done. Your labels are kept; the window can be closed.`;
    $("end-title").focus();
  }
  function layText() {
    const long = item.text.length > LONG;
    $("text").textContent = item.text || "(the text is empty)";
    $("text").classList.toggle("quiet", !item.text);
    $("text").classList.toggle("folded", long);
    $("unfold").hidden = !long;
    $("unfold").textContent = `Show all ${item.text.length.toLocaleString("en")} characters`;
    $("unfold").setAttribute("aria-expanded", "false");
  }
  function unfold() {
    if ($("unfold").hidden) return;
    const folded = $("text").classList.toggle("folded");
    $("unfold").setAttribute("aria-expanded", String(!folded));
    $("unfold").textContent = folded ? `Show all ${item.text.length.toLocaleString("en")} characters` : "Fold the text";
  }
  function layPictures() {
    if (!item.images.length) $("pictures").append(element("p", { class: "no-shot" }, "This pair has no image."));
    item.images.forEach((image, index) => $("pictures").append(image.digest ? veiled(image, index) : absent(image)));
  }
  const absent = (image) => element("p", { class: "no-shot" }, "No image: ", element("bdi", {}, image.name), image.error ? ` (${image.error})` : "");
  function veiled(image, index) {
    const of = item.images.length > 1 ? ` ${index + 1}` : "";
    const picture = element("img", { alt: "", draggable: "false" });
    const hint = element("span", { class: "hint" });
    const button = element("button", { type: "button", class: "veil", "aria-pressed": "false", "aria-keyshortcuts": "r" },
      element("span", { class: "window" }, picture), hint);
    const of_item = item;
    let preview = "", full = "";
    const blurred = (why = "") => {
      button.setAttribute("aria-pressed", "false");
      if (preview) picture.src = preview; else picture.removeAttribute("src");
      picture.alt = "";
      hint.replaceChildren(why || `Image${of} is blurred. Show it `, ...(why ? [] : [element("kbd", {}, "r")]));
      if (full) { URL.revokeObjectURL(full); full = ""; }
    };
    const fetched = async (kind) => {
      const blob = URL.createObjectURL(await (await ask(`/api/image/${image.digest}/${kind}`)).blob());
      if (item !== of_item) { URL.revokeObjectURL(blob); return ""; }
      blobs.push(blob);
      return blob;
    };
    const turn = async () => {
      if (button.getAttribute("aria-pressed") === "true") return blurred();
      try { full = await fetched("full"); } catch (error) { return blurred(`Image${of} cannot be shown: ${error.message}`); }
      if (!full) return;
      picture.src = full;
      picture.alt = `Image${of} of this pair: ${image.name}`;
      button.setAttribute("aria-pressed", "true");
      hint.replaceChildren(`Blur image${of} again `, element("kbd", {}, "r"));
    };
    button.addEventListener("click", (event) => { if (event.detail) rest(); turn(); });
    blurred();
    fetched("blurred").then((blob) => { preview = blob; if (button.getAttribute("aria-pressed") === "false" && blob) picture.src = blob; },
      (error) => { if (item === of_item) blurred(`Image${of} cannot be shown: ${error.message}`); });
    return element("figure", {}, button, element("figcaption", {}, element("bdi", {}, image.name), image.size ? ` · ${image.size}` : ""));
  }

  // what holds of it

  function layCriteria() {
    $("criteria").replaceChildren(...about.criteria.map((criterion) => element("fieldset", { "data-criterion": criterion.name },
      element("legend", {}, criterion.asks), element("p", { class: "tells" }, criterion.tells),
      element("div", { class: "choices" }, ...criterion.choices.map((choice) => element("button",
        { type: "button", "aria-pressed": "false", "data-value": choice.value, "aria-keyshortcuts": choice.key,
          onclick: (event) => { if (event.detail) rest(); label(criterion.name, choice); } },
        element("span", { class: "label" }, choice.says), element("kbd", {}, choice.key)))))));
    $("help-keys").replaceChildren(...about.criteria.map((criterion) => element("tr", {},
      element("th", { scope: "row" }, ...criterion.choices.flatMap((choice) => [element("kbd", {}, choice.key), " "])),
      element("td", {}, `${criterion.asks} ${criterion.choices.map((choice) => choice.says.toLowerCase()).join(" / ")}`))));
  }
  function hold(state) {
    Object.assign(item, { labels: state.labels, note: state.note, skipped: state.skipped, undo: state.undo, progress: state.progress });
    for (const fieldset of $("criteria").children) {
      for (const button of fieldset.querySelectorAll("button")) {
        button.setAttribute("aria-pressed", String(item.labels[fieldset.dataset.criterion] === button.dataset.value));
      }
    }
    $("skip").setAttribute("aria-pressed", String(item.skipped));
    $("undo").disabled = item.undo === null;
    $("previous").disabled = item.position === 0;
    const { done, skipped, total } = item.progress;
    $("meter").max = total;
    $("meter").value = done;
    $("count").textContent = `${done} of ${total} done${skipped ? `, ${skipped} skipped` : ""}`;
  }
  // After a click of the mouse the next Enter goes on; it does not press the same button again.
  const rest = () => $("pair-title").focus({ preventScroll: true });
  const complete = () => about.criteria.every((criterion) => criterion.name in item.labels);

  function label(criterion, choice) {
    const of = item;
    return act(async () => {
      if (item !== of) return;
      const value = item.labels[criterion] === choice.value ? null : choice.value;
      hold(await read("/api/label", { annotator, item: item.item, criterion, value }));
      say(value === null ? "Taken back." : `Kept: ${choice.says}.${complete() ? " All answered; Enter goes on." : ""}`);
    });
  }
  async function keepNote() {
    if (!item || $("note").value.trim() === item.note) return;
    const state = await read("/api/note", { annotator, item: item.item, text: $("note").value });
    hold(state);
    say("Note kept.");
  }
  const skip = () => act(async () => {
    await keepNote();
    const skipped = !item.skipped;
    hold(await read("/api/skip", { annotator, item: item.item, skipped }));
    say(skipped ? "Skipped; it comes again at the end." : "No longer skipped.");
    if (skipped) await go({ after: item.position });
  });
  const undo = () => act(async () => {
    await keepNote();
    if (item.undo === null) return;
    const undone = await read("/api/undo", { annotator, event: item.undo });
    const position = undone.position === null ? item.position : undone.position;
    const criterion = about.criteria.find((one) => one.name === undone.field);
    await go({ position });
    say(`Undone: ${criterion ? criterion.asks : undone.field === "note" ? "the note" : "skipping"}`);
  });
  const next = () => act(async () => { await keepNote(); say(""); await go({ after: item.position }); });
  const previous = () => act(async () => { if (!item.position) return; await keepNote(); say(""); await go({ position: item.position - 1 }); });
  function reveal() {
    const veils = [...$("pictures").querySelectorAll(".veil")];
    const hidden = veils.filter((veil) => veil.getAttribute("aria-pressed") === "false");
    for (const veil of hidden.length ? hidden : veils) veil.click();
  }

  // keys

  const KEYS = { r: reveal, j: next, Enter: next, k: previous, s: skip, u: undo, f: unfold, n: () => $("note").focus() };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || $("help").open) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest("input, textarea")) {
      if (event.key === "Escape") { event.preventDefault(); $("main").focus(); }
      return;
    }
    if (event.key === "?") { event.preventDefault(); $("help").showModal(); return; }
    if ($("pair").hidden || event.repeat) return;
    if (event.key === "Enter" && target.closest("button, summary, a")) return;
    const chosen = about.criteria.flatMap((criterion) => criterion.choices.map((choice) => [criterion.name, choice])).find(([, choice]) => choice.key === event.key);
    const work = chosen ? () => label(...chosen) : KEYS[event.key];
    if (work) { event.preventDefault(); work(); }
  });
  $("note").addEventListener("blur", () => act(keepNote));
  document.addEventListener("visibilitychange", () => { if (document.visibilityState === "hidden") act(keepNote); });
  $("unfold").addEventListener("click", unfold);
  $("next").addEventListener("click", next);
  $("previous").addEventListener("click", previous);
  $("skip").addEventListener("click", skip);
  $("undo").addEventListener("click", undo);
  $("keys").addEventListener("click", () => $("help").showModal());
  $("change").addEventListener("click", () => act(async () => { await keepNote(); remembered.set(""); await begin(); }));
  $("join").addEventListener("submit", (event) => { event.preventDefault(); act(() => choose($("new-name").value)); });
  act(begin);
})();

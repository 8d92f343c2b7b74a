// The pair explorer. Everything from the dataset reaches the page through textContent, never as HTML.
(() => {
  const PAGE = 50, FOLDED = 420;
  const VERDICTS = { l: "leak", s: "suspected", p: "predicted", i: "issue", c: "clear", n: "none" };
  const OUTCOMES = { s: "scored", a: "abstained", f: "failed" };
  const WHERE = { ocr: "text in the image", description: "the description", key_phrase: "the key phrase", image: "what the image shows", text: "the text itself" };
  const GRAVITY = { l: 4, s: 3, p: 2, i: 1, c: 0, n: 0, "-": 0 };
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("pair-data").textContent);
  let thumbnails = null;
  const thumbnail = (i) => (thumbnails ??= JSON.parse($("thumbnail-data").textContent))[i];

  const total = data.ids.length;
  const rank = new Int32Array(total);
  data.order.forEach((pair, place) => { rank[pair] = place; });
  const text = (i) => data.texts[data.text[i]];
  const category = (i) => data.names[data.category[i]];
  const list = $("list"), detail = $("detail"), search = $("search");
  let found = [], page = 0, selected = -1;

  function element(tag, className, content) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (content !== undefined) node.textContent = content;
    return node;
  }

  // Images are shown only when the page's own style blurs them; without it there is no image at all.
  const blurWorks = (() => {
    const probe = element("button", "veil");
    probe.append(element("img"));
    detail.append(probe);
    const works = getComputedStyle(probe.firstChild).filter.includes("blur");
    probe.remove();
    return works;
  })();

  // Filters

  for (const [i, d] of data.detectors.entries()) $("detector").append(new Option(d.name, String(i)));
  const named = new Map();
  for (const c of data.category) named.set(c, (named.get(c) || 0) + 1);
  for (const [c, n] of [...named].sort((a, b) => data.names[a[0]].localeCompare(data.names[b[0]])))
    $("category").append(new Option(`${(data.names[c] || "no category").slice(0, 80)} (${n})`, String(c)));

  const haystacks = new Array(total);
  const haystack = (i) => (haystacks[i] ??= [data.ids[i], text(i), category(i), data.descriptions[data.description[i]],
    data.reads[data.read[i]]].join("\n").toLowerCase());
  const flags = (letter) => "lspi".includes(letter);

  function hasVerdict(d, i, wanted) {
    if (wanted === "flagged") return flags(d.verdicts[i]);
    if (wanted === "a" || wanted === "f") return d.outcomes[i] === wanted;
    return d.verdicts[i] === wanted && (wanted !== "c" || d.outcomes[i] === "s");
  }
  function value(i, chosen) {
    let best = null;
    for (const d of chosen) {
      const v = d.values[i];
      if (v !== null && (best === null || v > best)) best = v;
    }
    return best;
  }
  function compareValues(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (a - b);
  }

  function apply() {
    const words = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = $("verdict").value, inCategory = $("category").value, only = $("detector").value;
    const chosen = only === "" ? data.detectors : [data.detectors[Number(only)]];
    found = [];
    for (let i = 0; i < total; i++) {
      if (inCategory !== "" && data.category[i] !== Number(inCategory)) continue;
      if (only !== "" && wanted === "" && chosen[0].outcomes[i] === "-") continue;
      if (wanted !== "" && !chosen.some((d) => hasVerdict(d, i, wanted))) continue;
      if (words.length && !words.every((word) => haystack(i).includes(word))) continue;
      found.push(i);
    }
    order(chosen);
    page = 0;
    showPage();
    select(found.length ? found[0] : -1, false);
    $("count").textContent = `${found.length.toLocaleString("en")} of ${total.toLocaleString("en")} pairs`;
  }

  function order(chosen) {
    const how = $("sort").value;
    if (how === "order") return;
    const bySuspicion = (a, b) => rank[a] - rank[b];
    if (how === "suspicion") { found.sort(bySuspicion); return; }
    if (how === "category") { found.sort((a, b) => category(a).localeCompare(category(b)) || bySuspicion(a, b)); return; }
    if (how === "long") { found.sort((a, b) => text(b).length - text(a).length || bySuspicion(a, b)); return; }
    const values = new Map(found.map((i) => [i, value(i, chosen)]));
    const sign = how === "high" ? -1 : 1;
    found.sort((a, b) => compareValues(values.get(a), values.get(b), sign) || bySuspicion(a, b));
  }

  // The list, one page at a time

  function gravest(i) {
    let letter = "n";
    for (const d of data.detectors) if (!d.doubt && GRAVITY[d.verdicts[i]] > GRAVITY[letter]) letter = d.verdicts[i];
    if (letter === "n" && data.detectors.some((d) => d.verdicts[i] === "c")) letter = "c";
    return VERDICTS[letter];
  }
  // An evaluation gives no verdict on a pair: how many of the models' answers were safe stands in its place.
  function rateMark(i) {
    const safe = value(i, data.detectors);
    return element("span", "num", safe === null ? "no answer classed" : `${Math.round(100 * safe)} % ${data.rate}`);
  }
  function verdictMark(name) { return element("span", `verdict ${name}`, name === "none" ? "no verdict" : name); }

  function row(i) {
    const item = element("li");
    item.id = `pair-${i}`;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.setAttribute("aria-setsize", String(found.length));
    item.dataset.pair = String(i);
    const head = element("div", "row-head");
    const by = data.detectors.filter((d) => flags(d.verdicts[i])).map((d) => (d.doubt ? `${d.name} (not believed)` : d.name));
    head.append(data.rate ? rateMark(i) : verdictMark(gravest(i)), element("bdi", "row-id", fold(data.ids[i], 60)));
    if (category(i)) head.append(element("bdi", "quiet", fold(category(i), 60)));
    if (by.length) head.append(element("span", "quiet", by.join(", ")));
    const words = element("div", "row-text data", fold(text(i), 240));
    words.dir = "auto";
    item.append(head, words);
    return item;
  }
  function fold(string, limit) { return string.length > limit ? `${string.slice(0, limit)} …` : string; }

  function showPage() {
    const start = page * PAGE, here = found.slice(start, start + PAGE);
    list.replaceChildren(...here.map((i, n) => {
      const item = row(i);
      item.setAttribute("aria-posinset", String(start + n + 1));
      return item;
    }));
    if (!here.length) list.append(element("li", "empty", "No pair fits these filters."));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    $("page").textContent = `Page ${page + 1} of ${pages}`;
    $("previous").disabled = page === 0;
    $("next").disabled = page + 1 >= pages;
  }

  function select(i, scroll = true) {
    selected = i;
    const place = found.indexOf(i);
    $("place").textContent = place < 0 ? "" : `Pair ${(place + 1).toLocaleString("en")} of ${found.length.toLocaleString("en")}`;
    if (place >= 0 && Math.floor(place / PAGE) !== page) { page = Math.floor(place / PAGE); showPage(); }
    for (const item of list.querySelectorAll("[aria-selected=true]")) item.setAttribute("aria-selected", "false");
    const item = place < 0 ? null : $(`pair-${i}`);
    if (item) {
      item.setAttribute("aria-selected", "true");
      list.setAttribute("aria-activedescendant", item.id);
      if (scroll) item.scrollIntoView({ block: "nearest" });
    } else list.removeAttribute("aria-activedescendant");
    showDetail(i);
  }
  function move(by) {
    if (!found.length) return;
    const place = found.indexOf(selected);
    select(found[Math.min(Math.max(place + by, 0), found.length - 1)]);
  }

  // One pair in full

  function showDetail(i) {
    detail.replaceChildren();
    detail.scrollTop = 0;
    if (i < 0) { detail.append(element("p", "quiet", "No pair is selected.")); return; }
    const close = element("button", "plain close", "Back to the list");
    close.type = "button";
    close.addEventListener("click", back);
    const [file, line] = data.origin[i];
    const where = [category(i), data.names[data.label[i]], data.files[file] + (line === null ? "" : `, row ${line}`)];
    detail.append(close, element("h3", "data", data.ids[i]), element("p", "where data", where.filter(Boolean).join(" · ")));
    detail.append(query(i), shots(i));
    said("What the benchmark says the image shows", data.descriptions[data.description[i]]);
    said("Text read in the image", data.reads[data.read[i]]);
    if (!data.rate) detail.append(findings(i));
    else said("Of all answers to the plain query", rateMark(i).textContent);
    detail.dispatchEvent(new CustomEvent("pairshown", { detail: i }));
  }
  function said(title, what) {
    if (!what) return;
    const words = element("p", "said data", what);
    words.dir = "auto";
    detail.append(element("h4", "", title), words);
  }

  function query(i) {
    const paragraph = element("p", "query data");
    paragraph.dir = "auto";
    const whole = text(i), passages = data.detectors.flatMap((d) => d.evidence[i] || []);
    const long = whole.length > FOLDED + 80;
    mark(paragraph, long ? whole.slice(0, FOLDED) : whole, passages);
    if (long) {
      const more = element("button", "plain", `Show ${(whole.length - FOLDED).toLocaleString("en")} more characters`);
      more.type = "button";
      more.addEventListener("click", () => { paragraph.replaceChildren(); mark(paragraph, whole, passages); paragraph.tabIndex = -1; paragraph.focus(); });
      paragraph.append(" … ", more);
    }
    return paragraph;
  }
  function mark(paragraph, words, passages) {
    const edges = new Set([0, words.length]);
    for (const [start, end] of passages) { edges.add(Math.min(start, words.length)); edges.add(Math.min(end, words.length)); }
    const cuts = [...edges].sort((a, b) => a - b);
    for (let n = 0; n + 1 < cuts.length; n++) {
      const piece = words.slice(cuts[n], cuts[n + 1]);
      const over = passages.filter(([start, end]) => start <= cuts[n] && end >= cuts[n + 1]);
      if (!over.length) { paragraph.append(piece); continue; }
      const marked = element("mark", "", piece);
      marked.title = over.map(([, , matched, where]) => `${WHERE[where] || where}: ${matched}`).join("\n");
      paragraph.append(marked);
    }
  }

  function shots(i) {
    const all = element("div", "shots");
    data.images[i].forEach(([name, place, size, error], n) => {
      const figure = element("figure");
      figure.append(place < 0 || !blurWorks ? noShot(error) : veiled(name, place, n));
      figure.append(element("figcaption", "data", [name, size].filter(Boolean).join(" · ")));
      all.append(figure);
    });
    if (!data.images[i].length) all.append(element("p", "quiet small", "This pair has no image."));
    return all;
  }
  function noShot(error) { return element("div", "no-shot data", error || "No thumbnail of this image is in the page."); }

  function veiled(name, place, n) {
    const button = element("button", "veil");
    button.type = "button";
    const hint = element("span", "hint", "Blurred. Click to show.");
    const image = new Image();
    image.alt = "";
    const set = (shown) => {
      button.setAttribute("aria-pressed", String(shown));
      button.setAttribute("aria-label", `${shown ? "Blur" : "Show"} image ${n + 1}: ${name}`);
      hint.textContent = shown ? "Click to blur again." : "Blurred. Click to show.";
    };
    set(false);
    image.addEventListener("error", () => button.replaceWith(noShot("The thumbnail cannot be shown.")));
    image.src = `data:image/jpeg;base64,${thumbnail(place)}`;
    button.addEventListener("click", () => set(button.getAttribute("aria-pressed") !== "true"));
    button.append(image, hint);
    return button;
  }

  function findings(i) {
    const table = element("table", "findings"), body = element("tbody"), head = element("tr");
    for (const title of ["Detector", "Verdict", "Value", "Why"]) {
      const cell = element("th", "", title);
      cell.scope = "col";
      head.append(cell);
    }
    for (const d of data.detectors) if (d.outcomes[i] !== "-") body.append(findingRow(d, i));
    const thead = element("thead");
    thead.append(head);
    table.append(thead, body);
    return table;
  }
  function findingRow(d, i) {
    const line = element("tr"), name = element("th"), verdict = element("td"), why = element("td");
    name.scope = "row";
    name.append(element("code", "", d.name));
    if (d.doubt) why.append(element("div", "doubt data", `not believed: ${d.doubt}`));
    const outcome = d.outcomes[i];
    verdict.append(verdictMark(outcome === "s" ? VERDICTS[d.verdicts[i]] : OUTCOMES[outcome]));
    const shown = d.values[i] === null || d.verdicts[i] === "i" ? "" : d.values[i].toFixed(2);
    why.append(element("div", "data", d.noteNames[d.notes[i]]));
    for (const [start, end, matched, where] of (d.evidence[i] || []).slice(0, 8))
      why.append(element("div", "quiet data", `“${text(i).slice(start, end)}” ↔ ${WHERE[where] || where}: ${where === "image" ? matched : `“${matched}”`}`));
    if (d.details[i]) why.append(element("div", "quiet small data", d.details[i]));
    line.append(name, verdict, element("td", "num", shown), why);
    return line;
  }

  // Keyboard and mouse

  function open() {
    if (selected < 0) return;
    detail.classList.add("open");
    detail.focus();
  }
  function back() {
    const inDetail = detail.contains(document.activeElement);
    detail.classList.remove("open");
    for (const veil of detail.querySelectorAll(".veil[aria-pressed=true]")) veil.click();
    if (inDetail) list.focus();
  }
  function reveal() { for (const veil of detail.querySelectorAll(".veil")) veil.click(); }
  const turn = (by) => { page += by; showPage(); select(found[page * PAGE]); };

  const typing = (target) => target instanceof Element && target.closest("input, select, textarea");
  const KEYS = { j: () => move(1), k: () => move(-1), r: reveal, Escape: back };
  const LIST_KEYS = { ArrowDown: () => move(1), ArrowUp: () => move(-1), Home: () => move(-total), End: () => move(total), PageDown: () => move(PAGE), PageUp: () => move(-PAGE), Enter: open };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape") { list.focus(); event.preventDefault(); }
      return;
    }
    const inList = document.activeElement === list;
    const idle = document.activeElement === document.body;
    const action = KEYS[event.key] || (inList ? LIST_KEYS[event.key] : undefined) || (idle && event.key === "Enter" ? open : undefined);
    if (event.key === "/") { event.preventDefault(); search.focus(); return; }
    if (action) { event.preventDefault(); action(); }
  });
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[data-pair]");
    if (!item) return;
    select(Number(item.dataset.pair), false);
    list.focus({ preventScroll: true });
    if (matchMedia("(max-width: 58rem)").matches) open();
  });
  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  let timer = 0;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 90); });
  for (const id of ["detector", "verdict", "category", "sort"]) $(id).addEventListener("change", apply);
  apply();
})();

// What models said of the pair that the explorer shows: labels at once, answers when they are opened.
(() => {
  const detail = document.getElementById("detail");
  const WITH = { text: "without the image", pair: "with the image", swapped: "with another pair's image", blank: "with an empty image",
    caption: "with a description in place of the image", image: "the image alone" };
  let data = null;

  function element(tag, className, content) {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (content !== undefined) node.textContent = content;
    return node;
  }

  detail.addEventListener("pairshown", (event) => {
    data ??= JSON.parse(document.getElementById("answer-data").textContent);
    if (!data) return;
    const rows = data.pairs[event.detail];
    detail.append(element("h4", "", "What models said"));
    if (!rows) { detail.append(element("p", "quiet small", "Not in this page; the CSV report holds every label.")); return; }
    let last = "";
    for (const row of rows) {
      const [detector, model, condition, scripted, variant] = data.asked[row[0]];
      if (`${detector} ${model}` !== last) detail.append(asked(detector, model, scripted));
      last = `${detector} ${model}`;
      detail.append(answer(condition, variant, row));
    }
  });

  function asked(detector, model, scripted) {
    const line = element("p", "asked-by");
    if (detector !== "evaluation") line.append(element("code", "", detector), " ");
    line.append(element("bdi", "mono data", model));
    if (scripted) line.append(" ", element("span", "scripted", "scripted, no model"));
    return line;
  }

  function answer(condition, variant, [, sample, label, chances, cut, words]) {
    const whole = element("details", "folded answer"), head = element("summary");
    head.append(element("bdi", "label data", data.labels[label]), " ");
    const more = [WITH[condition] || condition];
    if (variant) more.push(variant);
    if (chances) more.unshift(chances);
    if (sample) more.push(`sample ${sample + 1}`);
    if (cut) more.push("cut short");
    head.append(element("span", "quiet small", more.join(", ")));
    const said = element("p", words ? "data" : "quiet", words || "No answer was kept.");
    said.dir = "auto";
    whole.append(head, said);
    return whole;
  }
})();

// Draws every `.chart[data-specification]` of the document, and again when its specification or width changes.
// Gradio changes what is there in place, attribute by attribute: a chart's place may lose its picture, or
// become another chart's.
const LEGEND_COLUMN = 150; // pixels
const charts = new Map(); // place → {key, specification, picture, view, finalize}, or null before the first
const pictures = new Map(); // key → the newest of them, shown until its successor is drawn
const waiting = new Set(); // places to be drawn
let embedding;
const embedOf = (address) =>
  (embedding ??= import(new URL(address, document.baseURI).href).then((module) => module.default));

const chooseTime = (picture, view) => {
  let chosen;
  try {
    view.addSignalListener("brush", (_, value) => (chosen = value?.x));
  } catch {
    return; // not a chart whose time is the page's
  }
  picture.addEventListener("pointerdown", () => {
    chosen = undefined;
    const release = () => {
      if (!chosen || chosen[1] - chosen[0] < 1000) return;
      const [since, until] = chosen.map((ms) => new Date(ms).toISOString().slice(0, 19));
      picture.dispatchEvent(new CustomEvent("vigie:time", { bubbles: true, detail: { since, until } }));
    };
    addEventListener("pointerup", () => setTimeout(release), { once: true });
  });
};

const isDrawn = (place) => {
  const drawn = charts.get(place);
  return drawn && drawn.picture.parentNode === place && drawn.specification === place.dataset.specification;
};

const draw = async (place) => {
  if (!place.isConnected || isDrawn(place)) return;
  const { specification, vega, chart: key } = place.dataset;
  const former = pictures.get(key);
  let drawn = former;
  if (former?.specification !== specification) {
    const picture = document.createElement("div");
    picture.ariaHidden = "true"; // its place has the name, and the numbers beside it say what it shows
    drawn = { key, specification, picture };
    try {
      const spec = { ...JSON.parse(specification), width: place.clientWidth, height: place.clientHeight };
      if (spec.config?.legend) spec.config.legend.columns = Math.max(2, Math.floor(spec.width / LEGEND_COLUMN));
      Object.assign(drawn, await (await embedOf(vega))(picture, spec));
      chooseTime(picture, drawn.view);
    } catch (error) {
      console.error(error);
    }
    pictures.set(key, drawn);
    former?.finalize?.();
  }
  if (place.dataset.chart !== key) return; // it became another's meanwhile, and waits again
  charts.set(place, drawn);
  place.replaceChildren(drawn.picture);
};

const seen = (place) => {
  const { top, bottom } = place.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
};
let drawing = false;
const drawWaiting = async () => {
  if (drawing) return;
  drawing = true;
  while (waiting.size) {
    const place = [...waiting].find(seen) ?? [...waiting][0]; // what is looked at comes first
    waiting.delete(place);
    await draw(place);
    await new Promise((resolve) => setTimeout(resolve)); // one at a time, so that the page stays responsive
  }
  drawing = false;
};

const fit = new ResizeObserver((entries) => {
  for (const { target: place, contentRect } of entries) {
    if (!contentRect.width) continue;
    if (isDrawn(place)) charts.get(place).view?.width(contentRect.width).runAsync();
    else waiting.add(place);
  }
  drawWaiting();
});

const opened = new Set(); // `data-keep` of every <details> that the reader opened
document.addEventListener("click", ({ target }) => {
  const details = target.closest?.("summary")?.parentElement;
  if (details?.dataset.keep) opened[details.open ? "delete" : "add"](details.dataset.keep); // it is about to change
}, true);

const look = () => {
  for (const place of charts.keys()) {
    if (place.isConnected) continue;
    fit.unobserve(place);
    charts.delete(place);
  }
  for (const place of document.querySelectorAll(".chart[data-specification]")) {
    if (isDrawn(place)) continue;
    const former = pictures.get(place.dataset.chart);
    if (former && former.picture.parentNode !== place) place.replaceChildren(former.picture);
    if (charts.has(place)) {
      if (place.clientWidth) waiting.add(place);
    } else {
      charts.set(place, null);
      fit.observe(place);
    }
  }
  for (const details of document.querySelectorAll("details[data-keep]:not([open])")) {
    if (opened.has(details.dataset.keep)) details.open = true;
  }
  drawWaiting();
};
new MutationObserver(look).observe(document.body, {
  childList: true,
  subtree: true,
  attributeFilter: ["data-specification", "open"], // of <details> Gradio takes it away
});
look();

// The frame: language, appearance, how the API is, and when a page's components are there.
const waiting = [];
let there = false;
window.vigie = {
  // Calls `callback` once the page's components are in the document.
  onReady(callback) {
    if (there) callback();
    else waiting.push(callback);
  },
  // Gradio calls this when it has drawn the page.
  ready() {
    there = true;
    for (const callback of waiting.splice(0)) {
      try {
        callback();
      } catch (error) {
        console.error(error);
      }
    }
    document.body.dataset.drawn = "";
  },
};

const remember = (name, value) => {
  const age = value ? 31536000 : 0;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=${value}; Path=/; Max-Age=${age}; SameSite=Lax${secure}`;
};

for (const button of document.querySelectorAll("#site-header [data-language]")) {
  button.addEventListener("click", () => {
    remember("language", button.dataset.language);
    location.reload();
  });
}

document.getElementById("site-theme")?.addEventListener("change", (event) => {
  remember("theme", event.target.value === "system" ? "" : event.target.value);
  location.reload();
});

// Gradio's document has a base address, for which "#content" alone would be another page.
document.querySelector(".skip-link")?.addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("content")?.focus();
});

// Some names for screen readers are English in Gradio's components, whatever the language.
const words = JSON.parse(document.getElementById("component-words")?.textContent ?? "{}");
const translate = (root) => {
  for (const element of [root, ...root.querySelectorAll("[aria-label]")]) {
    const word = words[element.getAttribute("aria-label")];
    if (word) element.setAttribute("aria-label", word);
  }
};
if (Object.keys(words).length) {
  new MutationObserver((changes) => {
    const added = changes.flatMap((change) => [...change.addedNodes]);
    for (const node of added) if (node.nodeType === Node.ELEMENT_NODE) translate(node);
  }).observe(document.querySelector("gradio-app"), { childList: true, subtree: true });
}

const HEALTH_MS = 15000;
const health = document.getElementById("site-health");
const askHealth = async () => {
  if (!health || document.hidden || health.querySelector("details[open]")) return;
  let found;
  try {
    const answer = await fetch("./frame/health", { signal: AbortSignal.timeout(HEALTH_MS) });
    if (!answer.ok) throw new Error(String(answer.status));
    found = await answer.text();
  } catch {
    const badge = document.createElement("span");
    badge.className = "badge failed";
    badge.textContent = health.dataset.lost;
    found = badge.outerHTML;
  }
  if (health.dataset.shown !== found) health.innerHTML = health.dataset.shown = found;
};
window.vigie.onReady(() => {
  const main = document.querySelector("gradio-app main");
  if (main) {
    main.id = "content";
    main.tabIndex = -1;
  }
  askHealth();
  setInterval(askHealth, HEALTH_MS);
  document.addEventListener("visibilitychange", askHealth);
});

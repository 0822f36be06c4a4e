// The page at /logs: the filters live in the address, new entries come in at the top, commands are copied.
const onPage = () => document.getElementById("logs-filters") !== null;
const draw = () => document.getElementById("logs-draw")?.click();

// Gradio sends the page's address with each question, so the address is all that changes.
const go = (address) => {
  history.pushState(null, "", address);
  draw();
};

document.addEventListener("submit", (event) => {
  if (event.target.id !== "logs-filters") return;
  event.preventDefault();
  const asked = new URLSearchParams();
  for (const [name, value] of new FormData(event.target)) if (value.trim()) asked.set(name, value.trim());
  go(asked.size ? `${location.pathname}?${asked}` : location.pathname);
});

document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form?.id !== "logs-filters") return;
  // One or the other says which time is meant.
  if (event.target.name === "last" && event.target.value) form.since.value = form.until.value = "";
  if (["since", "until"].includes(event.target.name) && event.target.value) form.last.value = "";
  if (event.target.tagName === "SELECT") form.requestSubmit();
});

document.addEventListener("click", async (event) => {
  const copy = event.target.closest(".log-curl .copy");
  if (copy) {
    await toClipboard(copy.parentElement.querySelector("code"));
    const said = copy.textContent;
    copy.textContent = copy.dataset.copied;
    if (said !== copy.dataset.copied) setTimeout(() => (copy.textContent = said), 2000);
    return;
  }
  const link = event.target.closest("a.in-page");
  const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !plain || !onPage()) return;
  event.preventDefault();
  go(link.href);
  document.getElementById("content")?.scrollIntoView();
});

window.addEventListener("popstate", () => onPage() && draw());

// Outside https and localhost a page has no clipboard: then the command is selected, ready for the keyboard.
const toClipboard = async (code) => {
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
  }
};

const timeOf = (entry) => entry?.querySelector("time")?.dateTime ?? "";

// Entries that came in: what is there already stays as it is, what is on a later page stays there, and the
// oldest make room.
document.addEventListener("vigie:logs", (event) => {
  const list = document.getElementById("log-entries");
  if (!list || !event.detail) return;
  const came = document.createElement("template");
  came.innerHTML = event.detail;
  const known = new Set(Array.from(list.children, (entry) => entry.dataset.key));
  const oldest = timeOf(list.querySelector(".log-entry:last-of-type"));
  const isNew = (entry) => !known.has(entry.dataset.key ?? null) && (!entry.dataset.key || timeOf(entry) >= oldest);
  const fresh = [...came.content.children].filter(isNew);
  for (const entry of fresh) entry.classList.add("fresh");
  list.prepend(...fresh);
  while (list.children.length > Number(list.dataset.most)) list.lastElementChild.remove();
  if (fresh.length) list.parentElement.querySelector(":scope > .empty")?.remove();
});

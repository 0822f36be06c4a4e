// The dashboards' page: its form is its address; the server draws what stands there.
if (!location.pathname.endsWith("/dashboards")) return;

let asked = 0;
const ask = (query) => {
  asked = Date.now();
  window.vigie.askDashboard?.(query);
};
const go = (change) => {
  const query = new URLSearchParams(location.search);
  change(query);
  history.pushState(null, "", `?${query}`);
  ask(`${query}`);
};
const only = (query, name, values) => {
  query.delete(name);
  for (const value of values) query.append(name, value);
};

document.addEventListener("change", ({ target }) => {
  const form = target.closest("#dashboard-form");
  if (!form || target.type === "datetime-local") return;
  go((query) => {
    if (target.name === "last") {
      for (const name of ["since", "until"]) query.delete(name);
      only(query, "last", target.value ? [target.value] : []);
    } else if (target.id === "dashboard-refresh") only(query, "refresh", target.checked ? [] : ["off"]);
    else only(query, target.name, new FormData(form).getAll(target.name));
  });
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "dashboard-form") return;
  event.preventDefault();
  const times = event.submitter?.closest("fieldset");
  if (!times) return ask(location.search);
  go((query) => {
    query.delete("last");
    for (const input of times.querySelectorAll("input")) only(query, input.name, input.value ? [input.value] : []);
  });
});

document.addEventListener("vigie:time", ({ detail }) => go((query) => {
  query.delete("last");
  for (const [name, value] of Object.entries(detail)) only(query, name, [value]);
}));

// Gradio changes the form in place; a field that was touched no longer follows its attributes by itself.
new MutationObserver(() => {
  const form = document.getElementById("dashboard-form");
  for (const option of form?.querySelectorAll("option[selected]") ?? []) option.selected = true;
  for (const box of form?.querySelectorAll("input[type=checkbox]") ?? []) box.checked = box.hasAttribute("checked");
}).observe(document.body, { subtree: true, attributeFilter: ["data-address"] });

addEventListener("popstate", () => ask(location.search));

setInterval(() => {
  const seconds = Number(document.querySelector(".dashboard")?.dataset.refreshSeconds ?? 0);
  if (seconds && !document.hidden && Date.now() - asked >= seconds * 1000) ask(location.search);
}, 1000);
asked = Date.now();

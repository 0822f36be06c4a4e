// The keyboard, and what the components do not tell a screen reader.
vigie.onReady(() => {
  document.getElementById("result")?.setAttribute("aria-live", "polite");

  let number = 0;
  const idOf = (element) => (element.id ||= `form-text-${++number}`);
  for (const section of document.querySelectorAll(".form-section")) {
    section.setAttribute("role", "group");
    section.setAttribute("aria-labelledby", idOf(section.querySelector("h2")));
    for (const block of section.querySelectorAll(".block")) {
      const help = block.querySelector(".info-text");
      const title = block.querySelector("[data-testid=block-info]");
      for (const input of help ? block.querySelectorAll("input") : []) {
        input.setAttribute("aria-describedby", idOf(help));
      }
      if (block.tagName === "FIELDSET" && title) block.setAttribute("aria-labelledby", idOf(title));
      // Radio buttons of one name are one stop of the tab key, and the arrow keys move among them.
      for (const radio of block.querySelectorAll("input[type=radio]")) radio.name = idOf(title ?? block);
    }
  }

  // The second click of a double click never starts a second request; Gradio stops those while one is pending.
  const stopDoubleClick = (event) => {
    if (event.detail > 1 && event.target.closest("#predict")) event.stopImmediatePropagation();
  };
  document.addEventListener("click", stopDoubleClick, true);

  // Enter in a number sends the form; elsewhere the key has its own meaning (tick, choose an option).
  document.getElementById("form")?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.repeat && event.target.matches("input[type=number]")) {
      document.getElementById("predict").click();
    }
  });

  // What the API refused is marked at its field too, and says there why.
  const result = document.getElementById("result");
  const mark = () => {
    for (const input of document.querySelectorAll("#form [aria-invalid]")) {
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-errormessage");
      input.closest(".refused-value")?.classList.remove("refused-value");
    }
    for (const fault of result.querySelectorAll("[data-field]")) {
      const field = document.getElementById(`field-${fault.dataset.field}`);
      for (const input of field?.querySelectorAll("input") ?? []) {
        input.setAttribute("aria-invalid", "true");
        input.setAttribute("aria-errormessage", idOf(fault));
      }
      field?.classList.add("refused-value");
    }
  };
  if (result) new MutationObserver(mark).observe(result, { childList: true, subtree: true });
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("#result [data-copy]");
  if (!button) return;
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(button.dataset.copy);
  } else {
    // Not served by HTTPS: browsers keep the clipboard to themselves, but for what is selected.
    getSelection().selectAllChildren(button.parentElement.querySelector("code"));
    document.execCommand("copy");
  }
  button.textContent = button.dataset.copied;
});

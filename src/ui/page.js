// Runs once, when the page is there: the keyboard, and what the components do not tell a screen reader.
() => {
  document.documentElement.lang = "en";
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
};

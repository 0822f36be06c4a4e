// The batch page: which file this tab has, so that the way back from a trace finds it again.
vigie.onReady(() => {
  const file = document.getElementById("batch-file");
  if (!file) return;
  new MutationObserver(() => {
    const mark = file.querySelector("[data-batch-token]");
    if (mark) sessionStorage.setItem("vigie-batch", mark.dataset.batchToken);
  }).observe(file, { childList: true, subtree: true });
});


(() => {
  "use strict";
  const all = (selector) => [...document.querySelectorAll(selector)];
  all(".needs-script").forEach((element) => { element.hidden = false; });

  const checks = all(".check").map((element) => ({ element, text: null }));
  const search = document.getElementById("search");
  search?.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const check of checks) {
      check.text ??= check.element.textContent.toLowerCase();
      const fits = words.every((word) => check.text.includes(word));
      check.element.hidden = !fits;
      left += fits ? 1 : 0;
    }
    document.getElementById("none-left").hidden = left > 0;
  });
  document.querySelector(".filter")?.addEventListener("submit", (event) => event.preventDefault());

  const unfold = document.getElementById("unfold");
  unfold?.addEventListener("click", () => {
    const open = unfold.textContent === "Open all";
    all(".check > details").forEach((details) => { details.open = open; });
    unfold.textContent = open ? "Close all" : "Open all";
  });

  for (const command of all(".command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      const code = command.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
    command.after(button);
  }

  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const details = target && target.closest(".check > details");
    if (details) {
      details.open = true;
      details.parentElement.scrollIntoView();
    }
  };
  addEventListener("hashchange", reveal);
  reveal();
})();

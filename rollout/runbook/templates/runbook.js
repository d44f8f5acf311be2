"use strict";
(() => {
  const key = document.body.dataset.key;
  const boxes = [...document.querySelectorAll("input[type=checkbox]")];
  const counted = boxes.filter((box) => !box.closest(".undo"));
  const count = document.getElementById("count");
  const reset = document.getElementById("reset");
  const show = () => {
    const done = counted.filter((box) => box.checked).length;
    count.value = `${done} of ${counted.length} done`;
  };
  const keep = () => {
    const ids = boxes.filter((box) => box.checked).map((box) => box.id);
    try { localStorage.setItem(key, JSON.stringify(ids)); } catch { /* not kept, still counted */ }
    show();
  };
  let kept = [];
  try { kept = JSON.parse(localStorage.getItem(key)) || []; } catch { /* a browser that keeps nothing */ }
  for (const box of boxes) {
    box.checked = kept.includes(box.id);
    box.addEventListener("change", keep);
  }
  show();
  reset.hidden = false;
  reset.addEventListener("click", () => {
    if (!confirm("Clear all checkboxes on this page?")) return;
    for (const box of boxes) box.checked = false;
    keep();
  });

  const said = document.getElementById("said");
  const byHand = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  const copied = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { return byHand(text); }
  };
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.closest("li").querySelector("pre > code");
      const done = await copied(code.textContent);
      said.textContent = done ? "Command copied." : "The browser does not allow copying.";
      button.textContent = done ? "Copied" : "Not copied";
      button.focus();
      setTimeout(() => { button.textContent = "Copy"; said.textContent = ""; }, 2000);
    });
  }
})();

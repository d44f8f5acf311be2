"use strict";
(() => {
  const rows = [...document.querySelectorAll("tr[data-key]")];
  const reset = document.getElementById("reset");
  const count = document.getElementById("count");
  const ticked = (row) => {
    try { return JSON.parse(localStorage.getItem(row.dataset.key)) || []; } catch { return []; }
  };
  const show = () => {
    let all = 0;
    let done = 0;
    for (const row of rows) {
      const total = Number(row.dataset.total);
      const of = (id) => id.startsWith(`${row.dataset.step}-`) && !id.includes("-back-");
      const here = ticked(row).filter(of).length;
      const cell = row.querySelector(".progress");
      cell.textContent = `${here} of ${total}`;
      cell.classList.toggle("all", here === total);
      all += total;
      done += here;
    }
    count.value = `${done} of ${all} done`;
  };
  show();
  addEventListener("pageshow", show);
  addEventListener("storage", show);
  reset.hidden = false;
  reset.addEventListener("click", () => {
    if (!confirm("Clear all checkboxes on all pages of this runbook?")) return;
    for (const row of rows) localStorage.removeItem(row.dataset.key);
    show();
  });
})();

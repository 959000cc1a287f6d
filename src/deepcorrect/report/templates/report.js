for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const descending = heading.getAttribute("aria-sort") === "ascending" || (column > 0 && !heading.hasAttribute("aria-sort"));
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const compare = (a, b) => (isNaN(key(a)) || isNaN(key(b)) ? key(a).localeCompare(key(b)) : key(a) - key(b));
      body.append(...[...body.rows].sort((a, b) => (descending ? compare(b, a) : compare(a, b))));
    });
  });
}
for (const walk of document.querySelectorAll(".walk")) {
  const slider = walk.querySelector("input");
  const steps = [...walk.querySelectorAll(".step")];
  const show = () => {
    steps.forEach((step, index) => { step.hidden = index !== Number(slider.value); });
    const name = steps[slider.value].dataset.level;
    walk.querySelector("output").textContent = name;
    slider.setAttribute("aria-valuetext", name);
  };
  slider.addEventListener("input", show);
  slider.closest("[hidden]").hidden = false;
  show();
}

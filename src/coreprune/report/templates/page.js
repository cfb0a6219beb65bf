// Hovering and arrow keys: every mark of a drawing says its aria-label in a box beside it.
"use strict";
const tip = document.getElementById("tip");
let shown = null;

function hide() {
  if (shown) shown.classList.remove("on");
  shown = null;
  tip.hidden = true;
}

function show(mark) {
  if (mark === shown) return;
  hide();
  shown = mark;
  mark.classList.add("on");
  tip.textContent = mark.getAttribute("aria-label").split("; ").join("\n");
  tip.hidden = false;
  place();
}

function place() {
  if (!shown) return;
  const mark = shown;
  const inner = (mark.querySelector(".after, .attack, .bound, circle, path") || mark).getBoundingClientRect();
  const box = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, inner.right + 12), innerWidth - box.width - 8);
  const above = inner.top - box.height - 10;
  tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(above > 8 ? above : inner.bottom + 10)}px)`;
}

function middle(mark, axis) {
  const box = mark.getBoundingClientRect();
  return axis === "x" ? box.left + box.width / 2 : box.top + box.height / 2;
}

function nearest(marks, axes, event) {
  const apart = (mark) =>
    Math.hypot(
      axes.includes("x") ? middle(mark, "x") - event.clientX : 0,
      axes.includes("y") ? middle(mark, "y") - event.clientY : 0,
    );
  return marks.reduce((best, mark) => (apart(mark) < apart(best) ? mark : best));
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };

for (const chart of document.querySelectorAll("svg.chart")) {
  const marks = [...chart.querySelectorAll(".mark")];
  for (const title of chart.querySelectorAll("title")) title.remove();
  if (chart.dataset.nearest === "xy") marks.sort((a, b) => a.dataset.at - b.dataset.at);
  chart.addEventListener("pointermove", (event) => show(nearest(marks, chart.dataset.nearest, event)));
  chart.addEventListener("pointerleave", hide);
  const frame = chart.parentElement; // an svg that listens for focus would take it itself
  frame.addEventListener("focusin", (event) => show(event.target));
  frame.addEventListener("focusout", hide);
  chart.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const at = marks.indexOf(document.activeElement);
    const to = marks[Math.min(Math.max(at + step, 0), marks.length - 1)];
    for (const mark of marks) mark.setAttribute("tabindex", mark === to ? "0" : "-1");
    to.focus();
  });
}
addEventListener("keydown", (event) => event.key === "Escape" && hide());
addEventListener("scroll", place, { passive: true });
addEventListener("resize", hide);

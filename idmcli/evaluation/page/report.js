"use strict";
(() => {
  const stage = document.getElementById("stage");
  if (!stage) return;
  const part = Object.fromEntries([...stage.querySelectorAll("[id]")].map((element) => [element.id, element]));
  const pair = stage.querySelector(".pair");
  const scenes = [...document.querySelectorAll(".scene")];
  let views = [];

  const named = (label) => views.find((view) => view.dataset.label === label);
  const copy = (image, from) => { image.src = from.src; image.alt = from.alt; };

  function compare() {
    const before = named(part.before.value), after = named(part.after.value);
    copy(part.under, before.querySelector(".picture"));
    copy(part.over, after.querySelector(".picture"));
    part["left-caption"].textContent = before.dataset.caption;
    part["right-caption"].textContent = after.dataset.caption;
    const error = after.querySelector(".error");
    part["error-figure"].hidden = !error;
    if (error) copy(part.error, error);
    part["error-caption"].textContent = `errors of ${after.dataset.caption}`;
    for (const view of views) view.classList.toggle("chosen", view === after);
  }

  // Keeps what is compared where the next scene has it too.
  function enter() {
    const chosen = scenes[part.scene.value - 1];
    for (const scene of scenes) scene.hidden = scene !== chosen;
    views = [...chosen.querySelectorAll(".view")];
    const labels = views.map((view) => view.dataset.label);
    const wanted = [part.before.value || labels[1], part.after.value || best()];
    [part.before, part.after].forEach((select, side) => {
      select.replaceChildren(...labels.map((label) => new Option(label)));
      select.value = labels.includes(wanted[side]) ? wanted[side] : labels[side ? labels.length - 1 : 0];
    });
    compare();
  }

  const best = () => views.find((view) => "best" in view.dataset)?.dataset.label;

  function divide() {
    pair.style.setProperty("--split", part.split.value);
    part.split.setAttribute("aria-valuetext", `${part.split.value} % of the left picture`);
  }

  part.scene.addEventListener("change", enter);
  part.before.addEventListener("change", compare);
  part.after.addEventListener("change", compare);
  part.split.addEventListener("input", divide);
  for (const scene of scenes) {
    scene.addEventListener("click", (event) => {
      const view = event.target.closest("button")?.closest(".view");
      if (!view) return;
      part.after.value = view.dataset.label;
      compare();
    });
  }
  stage.hidden = false;
  enter();
  divide();
})();

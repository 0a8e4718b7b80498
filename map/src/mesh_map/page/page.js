"use strict";

const pictures = document.getElementById("pictures");
const details = document.getElementById("details");
const tables = document.getElementById("tables");
const note = document.getElementById("note");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let chosen = null; // the key of the access in the details
let pressed = null; // the application whose accesses are shown alone

const all = (name, value) => document.querySelectorAll(`[data-${name}="${CSS.escape(value)}"]`);

function showDetails() {
  for (const each of pictures.querySelectorAll(".access")) {
    each.classList.toggle("chosen", each.dataset.access === chosen);
  }
  const row = chosen && tables.querySelector(`tr[data-access="${chosen}"]`);
  details.hidden = !row;
  if (!row) return;
  const terms = [...row.closest("table").querySelectorAll("th")];
  const list = document.createElement("dl");
  [...row.cells].forEach((cell, number) => {
    const value = document.createElement("dd");
    value.append(...[...cell.childNodes].map((child) => child.cloneNode(true)));
    const term = document.createElement("dt");
    term.textContent = terms[number].textContent;
    list.append(term, value);
  });
  const close = document.createElement("button");
  close.textContent = "Close";
  close.addEventListener("click", leave);
  details.replaceChildren(close, list);
}

// The details cover the end of the window.
function uncover(box) {
  const hidden = box.getBoundingClientRect().bottom + 16 - details.getBoundingClientRect().top;
  if (hidden > 0) scrollBy(0, hidden);
}

function leave() {
  const key = chosen;
  chosen = null;
  showDetails();
  const back = [...all("access", key)].find((each) => each.tabIndex === 0 && each.checkVisibility());
  if (back) back.focus();
}

function showApplication() {
  for (const each of pictures.querySelectorAll(".access")) {
    const own = !pressed || [each.dataset.from, each.dataset.to].includes(pressed);
    each.classList.toggle("dim", !own);
  }
  for (const each of pictures.querySelectorAll(".application")) {
    each.setAttribute("aria-pressed", each.dataset.app === pressed);
  }
}

function choose(target) {
  const button = target.closest(".map [role=button]");
  if (!button) return false;
  const { access, app } = button.dataset;
  if (access) chosen = access;
  else pressed = pressed === app ? null : app;
  if (access) {
    showDetails();
    uncover(button);
  } else showApplication();
  return true;
}

pictures.addEventListener("click", (event) => choose(event.target));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen) leave();
  else if ((event.key === "Enter" || event.key === " ") && choose(event.target)) event.preventDefault();
});

// The tables change at once. In the picture, what is gone fades before the new one takes its place.
let latest = null;
function replace(map) {
  tables.innerHTML = map.tables;
  showDetails();
  const waiting = latest !== null;
  latest = map;
  if (waiting) return;
  const next = document.createElement("template");
  next.innerHTML = map.pictures;
  const kept = new Set([...next.content.querySelectorAll(".access")].map((each) => each.dataset.access));
  const gone = [...pictures.querySelectorAll(".access")].filter((each) => !kept.has(each.dataset.access));
  gone.forEach((each) => each.classList.add("gone"));
  setTimeout(settle, gone.length && !calm.matches ? 1200 : 0);
}

function settle() {
  const focused = document.activeElement.dataset || {};
  pictures.innerHTML = latest.pictures;
  latest = null;
  showDetails();
  showApplication();
  const [name, value] = Object.entries(focused).find(([key]) => key === "access" || key === "app") || [];
  const again = name && [...all(name, value)].find((each) => each.tabIndex === 0 && each.checkVisibility());
  if (again) again.focus();
}

function showCall(call) {
  for (const list of document.querySelectorAll(`tr[data-access="${call.access}"] .calls`)) {
    list.insertAdjacentHTML("afterbegin", call.item);
    while (list.children.length > 5) list.lastChild.remove();
  }
  if (chosen === call.access) showDetails();
  for (const each of all("access", call.access)) {
    if (!each.checkVisibility()) continue;
    if (each.tabIndex === 0) flash(each);
    else if (!calm.matches) move(each, call.denied);
  }
}

function flash(box) {
  box.classList.add("called");
  setTimeout(() => box.classList.remove("called"), 700);
}

// A dot moves along the lines of an access. A denied call ends at its words.
function move(lines, denied) {
  const paths = [...lines.querySelectorAll(".line")].slice(0, denied ? 1 : 2);
  const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  dot.setAttribute("class", "dot");
  dot.setAttribute("r", 6);
  lines.append(dot);
  const start = performance.now();
  const step = (now) => {
    const way = Math.max(((now - start) / 900) * paths.length, 0);
    const path = paths[Math.floor(way)];
    if (!path || !dot.isConnected) return dot.remove();
    const point = path.getPointAtLength((way % 1) * path.getTotalLength());
    dot.setAttribute("cx", point.x);
    dot.setAttribute("cy", point.y);
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

if (document.body.classList.contains("live")) {
  const source = new EventSource("events");
  const told = note.textContent;
  source.addEventListener("map", (event) => replace(JSON.parse(event.data)));
  source.addEventListener("call", (event) => showCall(JSON.parse(event.data)));
  source.onopen = () => {
    document.body.classList.remove("lost");
    note.textContent = told;
  };
  source.onerror = () => {
    document.body.classList.add("lost");
    note.textContent = "The run has ended or does not answer. This is its last map.";
  };
}

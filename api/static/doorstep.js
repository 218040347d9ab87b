// What the pages do beyond plain HTML. Every page works without it; nothing here asks anything of anyone.
// 1. Escape, or the button, hides the screen at once; it is shown again only by its own button.
// 2. The components of GOV.UK Frontend are started where a page has any.
// 3. A list narrows and sorts where it stands; its ranks stay as they were published (list.js).

const root = document.documentElement;
const title = document.title;
let back = null;

function hide(event) {
  event.preventDefault();
  if (root.classList.contains("covered")) return;
  back = document.activeElement;
  root.classList.add("covered");
  document.title = "Screen hidden";
  document.querySelector(".cover a").focus();
}

function show(event) {
  event.preventDefault();
  root.classList.remove("covered");
  document.title = title;
  if (window.location.hash === "#hidden") history.replaceState(null, "", window.location.pathname + window.location.search);
  if (back && back.isConnected) back.focus();
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(event); }, true);
document.querySelector(".hide-screen")?.addEventListener("click", hide);
document.querySelector(".cover a")?.addEventListener("click", show);

if (document.querySelector("main [data-module]")) {
  document.body.classList.add("js-enabled", "govuk-frontend-supported");
  import("./vendor/govuk-frontend-6.3.0.min.js").then((govuk) => govuk.initAll());
}
if (document.querySelector("[data-list]")) import("./list.js");

/** Panels that the page holds already, opened by buttons: what a metric is. */

import { button } from "./dom.js";

/** Let every `[data-about]` button open the panel of its metric. */
export function panels(dialog) {
  document.addEventListener("click", (event) => {
    const asked = event.target instanceof Element ? event.target.closest("[data-about]") : null;
    if (!asked) return;
    const held = document.getElementById(`about-${asked.dataset.about}`);
    if (!held) return;
    const close = button("✕", "Close (escape)", () => dialog.close(), { class: "close" });
    dialog.replaceChildren(close, ...[...held.childNodes].map((node) => node.cloneNode(true)));
    dialog.setAttribute("aria-label", asked.textContent.trim());
    dialog.showModal();
    dialog.scrollTop = 0;
  });
  // A click beside the panel closes it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

/** Making and finding elements. Text from users only ever becomes text nodes or attribute values. */

/** An element with attributes, listeners (`onclick: f`) and children, which are nodes or texts. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A button that says what it does to those who cannot see its sign. */
export function button(sign, label, onclick, attributes = {}) {
  return el("button", { type: "button", title: label, "aria-label": label, onclick, ...attributes }, sign);
}

/** A select with options of [value, text]. */
export function select(label, options, value, onchange) {
  const made = el(
    "select",
    { "aria-label": label, title: label, onchange: (event) => onchange(event.target.value) },
    ...options.map(([key, text]) => el("option", { value: key }, text)),
  );
  made.value = value;
  return made;
}

/** Whether a key press is meant for a field and not for the page. */
export function isTyping(event) {
  const target = event.target;
  if (!(target instanceof Element)) return false;
  return target.matches("textarea, select, input:not([type=range], [type=checkbox], [type=radio])");
}

/** Show a text for a moment to those who listen to the page. */
export function announce(text) {
  const place = document.getElementById("announcements");
  if (place) place.textContent = text;
}

/** A number for people: up to `digits` significant digits, an en dash where there is none. */
export function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) {
    const places = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    return value.toFixed(Math.min(places, 6));
  }
  return value.toExponential(digits - 1);
}

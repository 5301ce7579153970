/** Builds elements. Content is always text: nothing here parses HTML. */

import { localize, type Target, type Wording } from "../i18n/localize.ts";

export type Child = Node | string | null;

export interface ElementOptions {
  class?: string;
  id?: string;
  /** The content, in the player's language. */
  text?: Wording;
  /** The name for screen readers, in the player's language. */
  label?: Wording;
  /** The text that shows while the pointer rests on it. */
  title?: Wording;
  placeholder?: Wording;
  attributes?: Readonly<Record<string, string>>;
  onClick?: (event: MouseEvent) => void;
}

/** Return a new element. */
export function h<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  options: ElementOptions = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  if (options.class) element.className = options.class;
  if (options.id) element.id = options.id;
  for (const [attribute, value] of Object.entries(options.attributes ?? {})) element.setAttribute(attribute, value);
  const targets: [Target, Wording | undefined][] = [
    ["content", options.text],
    ["aria-label", options.label],
    ["title", options.title],
    ["placeholder", options.placeholder],
  ];
  for (const [target, wording] of targets) if (wording !== undefined) localize(element, wording, target);
  if (options.onClick) element.addEventListener("click", options.onClick as EventListener);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Return a button that does something when it is pressed. */
export function button(options: ElementOptions, ...children: Child[]): HTMLButtonElement {
  return h("button", { ...options, attributes: { type: "button", ...options.attributes } }, ...children);
}

/** Return a new SVG element. */
export function svg<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string | number>>,
  ...children: Node[]
): SVGElementTagNameMap[Name] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, String(value));
  element.append(...children);
  return element;
}

/** Return a label with its control, and a short explanation below. */
export function field(label: Wording, control: HTMLElement, hint?: Wording): HTMLElement {
  const id = control.id || freeId("field");
  control.id = id;
  const parts: Node[] = [h("label", { text: label, attributes: { for: id } }), control];
  if (hint !== undefined) {
    const note = h("p", { class: "hint", id: `${id}-hint`, text: hint });
    control.setAttribute("aria-describedby", note.id);
    parts.push(note);
  }
  return h("div", { class: "field" }, ...parts);
}

/** Return a checkbox with its label, and what it means below. */
export function checkbox(label: Wording, about?: Wording): { box: HTMLInputElement; element: HTMLElement } {
  const id = freeId("check");
  const box = h("input", { id, attributes: { type: "checkbox" } });
  const lines = h("div", {}, h("label", { text: label, attributes: { for: id } }));
  if (about !== undefined) {
    lines.append(h("p", { class: "hint", id: `${id}-about`, text: about }));
    box.setAttribute("aria-describedby", `${id}-about`);
  }
  return { box, element: h("div", { class: "check" }, box, lines) };
}

let ids = 0;

/** Return an id that no other element has. */
export function freeId(prefix: string): string {
  ids += 1;
  return `${prefix}-${ids}`;
}

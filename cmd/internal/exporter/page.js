"use strict";
// What comes replaces only what has changed, so that a tooltip stays, and a selection.
function morph(old, now) {
  if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) {
    old.replaceWith(document.importNode(now, true));
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  children(old, now);
}
function children(old, now) {
  const had = [...old.childNodes], has = [...now.childNodes];
  has.forEach((node, i) => i < had.length ? morph(had[i], node) : old.append(document.importNode(node, true)));
  had.slice(has.length).forEach(node => node.remove());
}
const state = document.getElementById("state"), parser = new DOMParser();
function follow() {
  const events = new EventSource("events" + location.search);
  events.onmessage = event => {
    state.textContent = "";
    children(document.getElementById("live"), parser.parseFromString(event.data, "text/html").body);
  };
  events.onerror = () => {
    state.textContent = "the exporter doesn't answer; what is shown is old";
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
}
follow();

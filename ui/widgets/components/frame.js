// Sets what Streamlit has no setting for: the page's language, the direction of fields, and translations of Streamlit's
// own texts. Notifies screen readers.

const ATTRIBUTES = ["aria-label", "placeholder", "title"];
const OURS = "textarea, code, [data-testid=stMarkdownContainer], [data-testid=stText], [data-testid=player]";
const THEIRS = "[data-testid=stFileUploader], [data-testid=stAudioInput]";
const page = (globalThis.speechPage ??= { texts: [], originals: new WeakMap(), announced: "" });

export default function ({ data }) {
  document.documentElement.lang = data.language;
  const key = JSON.stringify(data.texts);
  if (key !== page.key) {
    page.key = key;
    page.texts = data.texts.map(([english, text]) => [new RegExp(`^${english}$`), text]);
    fix(document.body);
  }
  if (!page.observer) {
    page.observer = new MutationObserver(changed);
    page.observer.observe(document.body, {
      subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES,
    });
  }
  announce(data.announced);
  if (data.label) remember(data.label);
}

// Sets the cookie by which the pages find the stored results of this browser after a reload.
function remember(label) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `results=${label}; Path=/; Max-Age=31536000; SameSite=Strict${secure}`;
}

function changed(records) {
  for (const record of records) {
    if (record.type === "childList") record.addedNodes.forEach(fix);
    else if (record.type === "attributes") fixAttribute(record.target, record.attributeName);
    else fixText(record.target);
  }
}

function fix(node) {
  if (node.nodeType === Node.TEXT_NODE) return fixText(node);
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  for (const element of [node, ...node.querySelectorAll("*")]) {
    if (element.matches("textarea, input[type=text]")) element.dir = "auto";
    for (const name of ATTRIBUTES) if (element.hasAttribute(name)) fixAttribute(element, name);
    for (const child of element.childNodes) if (child.nodeType === Node.TEXT_NODE) fixText(child);
  }
}

function fixText(node) {
  const parent = node.parentElement;
  if (!parent || (parent.closest(OURS) && !parent.closest(THEIRS))) return;
  const text = translated(node, "text", node.nodeValue);
  if (text !== node.nodeValue) node.nodeValue = text;
}

function fixAttribute(element, name) {
  const value = element.getAttribute(name);
  if (value === null) return;
  const text = translated(element, name, value);
  if (text !== value) element.setAttribute(name, text);
}

// Returns the translation of what Streamlit has written here, which may be translated already.
function translated(node, name, value) {
  const known = page.originals.get(node) ?? {};
  const original = known[name]?.shown === value ? known[name].original : value;
  const [pattern, text] = page.texts.find(([each]) => each.test(original)) ?? [];
  const shown = pattern ? original.replace(pattern, text) : original;
  if (shown !== original || known[name]) page.originals.set(node, { ...known, [name]: { original, shown } });
  return shown;
}

function announce(text) {
  if (!page.region) {
    page.region = document.createElement("div");
    page.region.setAttribute("role", "status");
    page.region.dataset.testid = "announced";
    page.region.style.cssText = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)";
    document.body.append(page.region);
  }
  if (page.region.textContent !== text) page.region.textContent = text;
}

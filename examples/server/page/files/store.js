// What is kept in this browser: conversations and settings.

export const conversationsKey = 'llama31.conversations';
const settingsKey = 'llama31.settings';

function read(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

const isText = (s) => typeof s === 'string';

// conversations are the last first: { id, title, messages: [{ role, content, note? }] }.
export function loadConversations() {
  const all = read(conversationsKey, []);
  return Array.isArray(all) ? all.filter((c) => isText(c?.id) && isText(c.title) && Array.isArray(c.messages) && c.messages.every((m) => isText(m?.role) && isText(m.content))) : [];
}

// saveConversations forgets the oldest where there is no room for all, and returns how many it kept.
export function saveConversations(all) {
  for (let n = all.length; n > 0; n--) {
    try {
      localStorage.setItem(conversationsKey, JSON.stringify(all.slice(0, n)));
      return n;
    } catch { /* full */ }
  }
  try {
    localStorage.removeItem(conversationsKey);
  } catch { /* no storage at all */ }
  return 0;
}

export function loadSettings() {
  const s = read(settingsKey, {});
  return s && typeof s === 'object' && !Array.isArray(s) ? s : {};
}

export function saveSettings(s) {
  try {
    localStorage.setItem(settingsKey, JSON.stringify(s));
  } catch { /* full, or not allowed: they hold until the page is closed */ }
}

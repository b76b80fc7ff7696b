import { chat, count, models } from './api.js';
import { render } from './markdown.js';
import { conversationsKey, loadConversations, loadSettings, saveConversations, saveSettings } from './store.js';

const $ = (id) => document.getElementById(id);
const talk = $('talk'), text = $('text'), scroll = $('scroll');
const wide = matchMedia('(min-width: 60rem)');

let conversations = loadConversations();
let settings = loadSettings();
let current = null; // the conversation that is shown; null: a new one, not yet in the list
let running = null; // { controller, conversation, message, node } while an answer comes
let known = []; // the server's models

// --- Nodes

function make(tag, properties, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', '#i-' + name);
  svg.append(use);
  return svg;
}

function button(name, label, onclick) {
  const b = make('button', { type: 'button', className: 'icon', title: label, onclick }, icon(name));
  b.setAttribute('aria-label', label);
  return b;
}

function say(words) { // to those who listen
  $('said').textContent = words;
}

let toastEnds;
function toast(words, action, onclick) {
  $('toast').replaceChildren(words);
  if (action) $('toast').append(make('button', { type: 'button', className: 'plain', onclick: () => { onclick(); $('toast').hidden = true; } }, action));
  $('toast').hidden = false;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => { $('toast').hidden = true; }, 7000);
}

// --- The list of conversations

function showList() {
  $('list').replaceChildren(...conversations.map((c) => {
    const open = make('button', { type: 'button', className: 'open', onclick: () => show(c) }, c.title);
    if (c === current) open.setAttribute('aria-current', 'true');
    return make('li', {}, open, button('bin', 'Delete: ' + c.title, () => remove(c)));
  }));
}

function remove(c) {
  const at = conversations.indexOf(c);
  if (running?.conversation === c) running.controller.abort();
  conversations.splice(at, 1);
  save();
  if (c === current) show(null);
  showList();
  toast('Deleted.', 'Undo', () => {
    conversations.splice(at, 0, c);
    save();
    show(c);
  });
}

function save() {
  const kept = saveConversations(conversations);
  if (kept < conversations.length) {
    conversations = conversations.slice(0, kept);
    toast("This browser's storage is full: the oldest conversations were forgotten.");
  }
}

function drawer(open) {
  document.body.classList.toggle('drawer', open);
  $('menu').setAttribute('aria-expanded', String(open));
  $('side').inert = !open && !wide.matches;
  if (open) $('new').focus();
}

// --- The conversation

function show(c) {
  current = c;
  talk.replaceChildren(...(c?.messages ?? []).map((m, i) => (m === running?.message ? running.node : message(c, m, i))));
  $('empty').hidden = Boolean(c?.messages.length);
  document.title = c ? c.title + ' · llama31' : 'llama31';
  showList();
  drawer(false);
  buttons();
  measure(c?.usage, c?.timings);
  scroll.scrollTop = scroll.scrollHeight;
  if (wide.matches) text.focus();
}

// message is the node of one; its parts are renewed by update.
function message(c, m, i) {
  const body = make('div', { className: 'body' });
  const node = make('li', { className: m.role }, make('h2', { className: 'hidden' }, m.role === 'user' ? 'You' : 'Answer'), body);
  node.body = body;
  node.actions = make('div', { className: 'actions' });
  node.append(node.actions);
  update(node, m);
  const copy = button('copy', 'Copy', () => copied(copy, m.content));
  node.actions.append(copy);
  if (m.role === 'user') node.actions.append(button('edit', 'Edit', () => edit(c, m, i, node)));
  else node.actions.append(button('again', 'Answer again', () => again(c, i)));
  return node;
}

function update(node, m) {
  if (m.role === 'user') node.body.textContent = m.content;
  else render(node.body, m.content);
  node.querySelector('.note')?.remove();
  if (m.note) node.body.after(make('p', { className: m.failed ? 'note failed' : 'note' }, m.note));
}

async function copied(b, words) {
  try {
    await navigator.clipboard.writeText(words);
  } catch { // not over http from another machine
    const t = make('textarea', { value: words, className: 'hidden' });
    document.body.append(t);
    t.select();
    document.execCommand('copy');
    t.remove();
  }
  const before = [...b.childNodes];
  b.replaceChildren(...(before[0] instanceof Text ? ['Copied'] : [icon('done')]));
  say('Copied');
  setTimeout(() => b.replaceChildren(...before), 1500);
}

talk.addEventListener('click', (e) => {
  if (e.target.matches('.code .copy')) copied(e.target, e.target.closest('.code').querySelector('code').textContent);
});

function edit(c, m, i, node) {
  if (running) return;
  const area = make('textarea', { value: m.content, className: 'editing' });
  area.setAttribute('aria-label', 'Edit the message');
  const end = () => show(c);
  const done = () => {
    const words = area.value.trim();
    if (!words || running) return;
    c.messages.length = i;
    ask(c, words);
  };
  area.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) { e.preventDefault(); done(); }
    if (e.key === 'Escape') { e.stopPropagation(); end(); }
  });
  node.classList.add('edited');
  node.body.replaceChildren(area);
  node.actions.replaceChildren(make('button', { type: 'button', className: 'plain', onclick: end }, 'Cancel'), make('button', { type: 'button', className: 'main', onclick: done }, 'Send'));
  grow(area);
  area.focus();
  area.addEventListener('input', () => grow(area));
}

function again(c, i) {
  if (running) return;
  c.messages.length = i;
  show(c);
  answer(c);
}

// --- Asking

function ask(c, words) {
  if (!c) {
    c = { id: crypto.getRandomValues(new Uint32Array(2)).join('-'), title: words.replace(/\s+/g, ' ').slice(0, 60), messages: [] };
  }
  conversations = [c, ...conversations.filter((o) => o !== c)];
  c.messages.push({ role: 'user', content: words });
  save();
  show(c);
  answer(c);
}

async function answer(c) {
  const model = $('model').value;
  const messages = c.messages.map(({ role, content }) => ({ role, content }));
  if (settings.system?.trim()) messages.unshift({ role: 'system', content: settings.system });
  const body = { model, messages };
  for (const [name, value] of Object.entries(settings.sampling ?? {})) body[name] = value;
  const m = { role: 'assistant', content: '' };
  const node = message(c, m, c.messages.length);
  c.messages.push(m);
  node.classList.add('coming');
  node.setAttribute('aria-busy', 'true');
  if (c === current) talk.append(node);
  $('empty').hidden = true;
  follow(true);
  const controller = new AbortController();
  running = { controller, conversation: c, message: m, node };
  buttons();
  say('The model is answering.');
  const began = performance.now();
  let first, pieces = 0, prompt, frame = 0;
  count(model, messages, settings.key, controller.signal).then((n) => { prompt = n; });
  const draw = () => {
    frame = 0;
    const stay = atEnd();
    update(node, m);
    follow(stay);
    if (c === current) live(pieces, first, prompt);
  };
  const ticking = setInterval(() => { if (!first && c === current) $('speed').textContent = `reading · ${((performance.now() - began) / 1000).toFixed(1)} s`; }, 100);
  try {
    const end = await chat(body, settings.key, controller.signal, (piece) => {
      first ??= performance.now();
      pieces++;
      m.content += piece;
      frame ||= requestAnimationFrame(draw);
    });
    Object.assign(c, { usage: end.usage, timings: end.timings });
    if (end.finish === 'length') m.note = 'Cut off: the limit of tokens was reached.';
    say('The answer is complete.');
  } catch (e) {
    if (controller.signal.aborted) {
      m.note = 'Stopped.';
      if (prompt !== undefined) Object.assign(c, { usage: { total_tokens: prompt + pieces, completion_tokens: pieces }, timings: undefined });
      say('Stopped.');
    } else {
      m.note = e instanceof TypeError ? 'The server cannot be reached.' : e.message;
      m.failed = true;
      say('The request failed: ' + m.note);
      if (e.status === 401) openSettings('s-key');
    }
  } finally {
    clearInterval(ticking);
    cancelAnimationFrame(frame);
    running = null;
    node.classList.remove('coming');
    node.removeAttribute('aria-busy');
    const stay = atEnd();
    update(node, m);
    follow(stay);
    save();
    if (c === current) measure(c.usage, c.timings);
    buttons();
  }
}

// --- The line below

const number = (n) => n.toLocaleString('en');

function live(pieces, first, prompt) {
  const seconds = (performance.now() - first) / 1000;
  $('speed').textContent = pieces > 1 && seconds > 0 ? `${((pieces - 1) / seconds).toFixed(1)} tokens/s · ${number(pieces)} tokens` : '';
  room(prompt === undefined ? undefined : prompt + pieces);
}

function measure(usage, timings) {
  const parts = [];
  if (timings?.predicted_per_second) parts.push(`${timings.predicted_per_second.toFixed(1)} tokens/s`);
  if (usage?.completion_tokens) parts.push(`${number(usage.completion_tokens)} tokens`);
  if (timings) parts.push(`first after ${Math.round(timings.queued_ms + timings.prompt_ms)} ms`);
  $('speed').textContent = parts.join(' · ');
  room(usage?.total_tokens);
}

function room(used) {
  const most = known.find((m) => m.id === $('model').value)?.max_model_len;
  $('tokens').replaceChildren(...(used === undefined ? [] : [make('span', {}, 'context '), `${number(used)}${most ? ' of ' + number(most) : ''}`]));
  $('used').hidden = used === undefined || !most;
  if (most && used !== undefined) Object.assign($('used'), { max: most, high: 0.85 * most, value: used });
}

// --- Scrolling: the end stays in view for those who were there

const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;

function follow(stay) {
  if (stay) scroll.scrollTop = scroll.scrollHeight;
  $('latest').hidden = atEnd();
}

scroll.addEventListener('scroll', () => { $('latest').hidden = atEnd(); }, { passive: true });
$('latest').onclick = () => follow(true);

// --- The form

function grow(area) {
  area.style.height = 'auto';
  area.style.height = area.scrollHeight + 2 + 'px';
}

function buttons() {
  $('send').hidden = Boolean(running);
  $('stop').hidden = !running;
  $('send').disabled = !text.value.trim();
  document.body.classList.toggle('running', Boolean(running));
}

function submit() {
  const words = text.value.trim();
  if (!words || running) return;
  text.value = '';
  grow(text);
  ask(current, words);
}

const stop = () => running?.controller.abort();

$('ask').addEventListener('submit', (e) => { e.preventDefault(); submit(); });
$('stop').onclick = stop;
text.addEventListener('input', () => { grow(text); buttons(); });
text.addEventListener('keydown', (e) => {
  if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) { e.preventDefault(); submit(); }
});
text.addEventListener('keypress', (e) => { // of drivers that send it whatever became of keydown
  if (e.key === 'Enter' && !e.shiftKey) e.preventDefault();
});

document.addEventListener('keydown', (e) => {
  const typing = e.target.matches?.('input, textarea, select');
  if (e.key === 'Escape' && document.body.classList.contains('drawer')) { drawer(false); $('menu').focus(); }
  else if (e.key === 'Escape' && !$('settings').open) stop();
  else if (e.ctrlKey && e.shiftKey && e.key.toLowerCase() === 'o') { e.preventDefault(); show(null); text.focus(); }
  else if (e.key === '/' && !typing && !$('settings').open) { e.preventDefault(); text.focus(); }
});

$('new').onclick = () => { show(null); text.focus(); };
$('menu').onclick = () => drawer(true);
$('hide').onclick = $('shade').onclick = () => { drawer(false); $('menu').focus(); };
wide.addEventListener('change', () => drawer(false));

// --- Settings

const samplers = ['temperature', 'top_p', 'top_k', 'min_p', 'repetition_penalty', 'max_tokens', 'seed'];

function openSettings(focus) {
  $('s-system').value = settings.system ?? '';
  $('s-key').value = settings.key ?? '';
  $('s-theme').value = settings.theme ?? '';
  for (const name of samplers) $('s-' + name).value = settings.sampling?.[name] ?? '';
  if (!$('settings').open) $('settings').showModal();
  $(typeof focus === 'string' ? focus : 's-system').focus();
}

function readSettings() {
  settings = { model: settings.model, system: $('s-system').value, key: $('s-key').value.trim(), theme: $('s-theme').value, sampling: {} };
  for (const name of samplers) {
    const input = $('s-' + name);
    if (input.value !== '' && input.checkValidity()) settings.sampling[name] = Number(input.value);
  }
  saveSettings(settings);
  theme();
}

function theme() {
  document.documentElement.dataset.theme = settings.theme || '';
}

$('tune').onclick = openSettings;
$('settings').addEventListener('input', readSettings);
$('settings').addEventListener('click', (e) => { if (e.target === $('settings')) $('settings').close(); });
$('settings').addEventListener('close', () => {
  text.focus();
  if ((settings.key ?? '') !== askedWith) askModels();
});
$('reset').onclick = () => {
  settings = { model: settings.model, key: settings.key };
  saveSettings(settings);
  theme();
  openSettings();
};

// --- Models

let askedWith; // the key

async function askModels() {
  askedWith = settings.key ?? '';
  try {
    known = await models(settings.key);
  } catch (e) {
    known = [];
    if (e.status === 401) openSettings('s-key');
    else toast('The server cannot be reached.', 'Try again', askModels);
  }
  $('model').replaceChildren(...known.map((m) => make('option', { value: m.id }, m.id)));
  if (known.some((m) => m.id === settings.model)) $('model').value = settings.model;
  $('model').classList.toggle('single', known.length < 2);
  $('model').disabled = known.length < 2;
  measure(current?.usage, current?.timings);
}

$('model').onchange = () => {
  settings.model = $('model').value;
  saveSettings(settings);
  measure(current?.usage, current?.timings);
};

// --- Other tabs with this page: the list is the same, what is shown here stays

addEventListener('storage', (e) => {
  if (e.key !== conversationsKey) return;
  const mine = [current, running?.conversation];
  conversations = loadConversations().map((c) => mine.find((o) => o?.id === c.id) ?? c);
  showList();
});

// --- Begin

$('ideas').append(...['Why is the sky blue?', 'Write a haiku about the sea.', 'Explain recursion to a child.', 'What can I cook with rice and eggs?'].map((idea) =>
  make('button', { type: 'button', onclick: () => ask(null, idea) }, idea)));
theme();
show(null);
askModels();

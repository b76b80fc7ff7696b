// Markdown to DOM nodes. Text from a model only ever becomes text nodes: no HTML is parsed, no URL is loaded, and links lead to http,
// https and mailto alone.

const deepest = 8; // of quotes, lists and emphasis in each other

// render shows text in a node, and touches only the blocks that changed since the last call: an answer grows at its end.
export function render(node, text) {
  const now = blocks(text.split('\n'), 0);
  const before = node.blocks ?? [];
  now.forEach((b, i) => {
    const old = before[i];
    if (old?.source === b.source && old.kind === b.kind) return;
    if (old?.kind === 'code' && b.kind === 'code' && old.language === b.language) {
      node.children[i].querySelector('code').textContent = b.text; // the selection and the button stay
      return;
    }
    const fresh = element(b);
    if (node.children[i]) node.children[i].replaceWith(fresh);
    else node.append(fresh);
  });
  while (node.children.length > now.length) node.lastElementChild.remove();
  node.blocks = now;
}

const fence = /^( {0,3})(`{3,}|~{3,})\s*([^`]*)$/;
const heading = /^ {0,3}(#{1,6})(?:\s+(.*?))?\s*#*\s*$/;
const rule = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const quote = /^ {0,3}> ?(.*)$/;
const item = /^( *)([-*+]|\d{1,9}[.)])(?: +(.*)|)$/;
const divider = /^ *\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?\|? *$/;

const begins = (line) => fence.test(line) || heading.test(line) || rule.test(line) || quote.test(line) || item.test(line);

// blocks takes lines apart. Each block has its source, by which render knows it again.
function blocks(lines, depth) {
  const all = [];
  for (let i = 0; i < lines.length;) {
    const first = i, line = lines[i];
    const add = (b) => all.push({ ...b, source: lines.slice(first, i).join('\n') });
    let m;
    if (line.trim() === '') {
      i++;
    } else if ((m = fence.exec(line))) {
      const body = [];
      for (i++; i < lines.length; i++) {
        const end = fence.exec(lines[i]);
        if (end && end[2].startsWith(m[2]) && end[3].trim() === '') break;
        body.push(lines[i].startsWith(m[1]) ? lines[i].slice(m[1].length) : lines[i].trimStart());
      }
      i++;
      add({ kind: 'code', language: m[3].trim().split(/\s/)[0].slice(0, 30), text: body.join('\n') });
    } else if ((m = heading.exec(line))) {
      i++;
      add({ kind: 'heading', level: m[1].length, text: m[2] ?? '' });
    } else if (rule.test(line)) {
      i++;
      add({ kind: 'rule' });
    } else if (quote.test(line) && depth < deepest) {
      const body = [];
      for (; i < lines.length && (m = quote.exec(lines[i])); i++) body.push(m[1]);
      add({ kind: 'quote', blocks: blocks(body, depth + 1) });
    } else if ((m = item.exec(line)) && depth < deepest) {
      const ordered = /\d/.test(m[2]), items = [];
      const start = parseInt(m[2], 10);
      let body;
      for (let inner = 0; i < lines.length; i++) {
        const l = lines[i], next = item.exec(l);
        if (next && next[1].length < (body ? inner : Infinity) && /\d/.test(next[2]) === ordered) {
          inner = next[1].length + next[2].length + 1;
          items.push((body = [next[3] ?? '']));
        } else if (l.trim() === '') {
          const after = lines[i + 1] ?? '';
          if (after.trim() === '' || !(after.startsWith(' '.repeat(inner)) || (item.test(after) && /\d/.test(item.exec(after)[2]) === ordered))) break;
          body.push('');
        } else if (l.startsWith(' '.repeat(inner))) {
          body.push(l.slice(inner));
        } else if (/^ {2,}/.test(l) || !begins(l) && body.at(-1) !== '') {
          body.push(l.trimStart());
        } else {
          break;
        }
      }
      add({ kind: 'list', ordered, start, items: items.map((b) => blocks(b, depth + 1)) });
    } else if (line.includes('|') && divider.test(lines[i + 1] ?? '')) {
      const rows = [cells(line)];
      const align = cells(lines[i + 1]).map((c) => (c.endsWith(':') ? (c.startsWith(':') ? 'center' : 'right') : ''));
      for (i += 2; i < lines.length && lines[i].includes('|'); i++) rows.push(cells(lines[i]));
      add({ kind: 'table', rows, align });
    } else {
      const body = [line];
      for (i++; i < lines.length && lines[i].trim() !== '' && !begins(lines[i]); i++) body.push(lines[i]);
      add({ kind: 'paragraph', text: body.join('\n') });
    }
  }
  return all;
}

function cells(line) {
  return line.trim().replace(/^\||\|$/g, '').split(/(?<!\\)\|/).map((c) => c.trim().replaceAll('\\|', '|'));
}

function make(tag, ...children) {
  const e = document.createElement(tag);
  e.append(...children);
  return e;
}

function element(b) {
  switch (b.kind) {
    case 'code': {
      const copy = make('button', 'Copy');
      copy.type = 'button';
      copy.className = 'copy';
      const head = make('div', make('span', b.language || 'text'), copy);
      head.className = 'head';
      const pre = make('pre', make('code', b.text));
      pre.tabIndex = 0; // scrolls from the keyboard
      const e = make('div', head, pre);
      e.className = 'code';
      return e;
    }
    case 'heading': return make('h' + Math.min(6, b.level + 2), ...inline(b.text, 0));
    case 'rule': return make('hr');
    case 'quote': return make('blockquote', ...b.blocks.map(element));
    case 'list': {
      const e = make(b.ordered ? 'ol' : 'ul', ...b.items.map((blocks) => {
        const tight = blocks[0]?.kind === 'paragraph' ? inline(blocks.shift().text, 0) : [];
        return make('li', ...tight, ...blocks.map(element));
      }));
      if (b.ordered && b.start !== 1) e.start = b.start;
      return e;
    }
    case 'table': {
      const row = (cells, tag) => make('tr', ...b.align.map((align, i) => {
        const c = make(tag, ...inline(cells[i] ?? '', 0));
        if (align) c.className = align;
        return c;
      }));
      const e = make('div', make('table', make('thead', row(b.rows[0], 'th')), make('tbody', ...b.rows.slice(1).map((r) => row(r, 'td')))));
      e.className = 'table';
      e.tabIndex = 0;
      return e;
    }
    default: return make('p', ...inline(b.text, 0));
  }
}

const special = /[\\`*_~[\]<!\n]|https?:\/\//g;
const escapable = /[!-/:-@[-`{-~]/;
const linkTail = /\(\s*<?([^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/y;
const bare = /https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]*_~]/y;
const angled = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;
const marks = [['**', 'strong'], ['__', 'strong'], ['~~', 'del'], ['*', 'em'], ['_', 'em']];

function inline(text, depth) {
  const out = [];
  const missing = new Set(); // marks without an end further on
  let plain = '';
  const push = (node) => {
    if (plain) out.push(plain);
    plain = '';
    out.push(node);
  };
  for (let i = 0; i < text.length;) {
    special.lastIndex = i;
    const m = special.exec(text);
    if (!m) {
      plain += text.slice(i);
      break;
    }
    plain += text.slice(i, m.index);
    i = m.index;
    const c = text[i];
    if (c === '\\' && escapable.test(text[i + 1] ?? '')) {
      plain += text[i + 1];
      i += 2;
    } else if (c === '\n') {
      plain = plain.replace(/[ \\]+$/, '');
      push(make('br'));
      i++;
    } else if (c === '`') {
      const run = /`+/y;
      run.lastIndex = i;
      const ticks = run.exec(text)[0];
      const end = missing.has(ticks) ? -1 : closing(text, ticks, i + ticks.length);
      if (end < 0) {
        missing.add(ticks);
        plain += ticks;
        i += ticks.length;
      } else {
        const body = text.slice(i + ticks.length, end);
        push(make('code', /^ .*[^ ].* $/.test(body) ? body.slice(1, -1) : body));
        i = end + ticks.length;
      }
    } else if (m[0].length > 1 || c === '<') {
      const at = c === '<' ? angled : bare;
      at.lastIndex = i;
      const u = at.exec(text);
      const address = u?.[1] ?? u?.[0];
      push(u ? link(address, [address]) : c);
      i += u ? u[0].length : 1;
    } else if (c === '[' || (c === '!' && text[i + 1] === '[')) {
      const from = c === '[' ? i + 1 : i + 2;
      const end = depth < deepest ? bracket(text, from) : -1;
      linkTail.lastIndex = end + 1;
      const tail = end < 0 ? null : linkTail.exec(text);
      if (tail) { // a picture is a link: nothing is loaded
        push(link(tail[1], inline(text.slice(from, end), depth + 1)));
        i = end + 1 + tail[0].length;
      } else {
        plain += c;
        i++;
      }
    } else {
      const mark = depth < deepest && marks.find(([s]) => text.startsWith(s, i) && !missing.has(s));
      const end = mark ? close(text, mark[0], i) : -1;
      if (end >= 0) {
        push(make(mark[1], ...inline(text.slice(i + mark[0].length, end), depth + 1)));
        i = end + mark[0].length;
      } else {
        if (mark && end === -1) missing.add(mark[0]);
        plain += c;
        i++;
      }
    }
  }
  if (plain) out.push(plain);
  return out;
}

// closing finds a run of exactly these backticks.
function closing(text, ticks, from) {
  for (let i = text.indexOf(ticks, from); i >= 0; i = text.indexOf(ticks, i)) {
    let end = i;
    while (text[end] === '`') end++;
    if (end - i === ticks.length) return i;
    i = end;
  }
  return -1;
}

// bracket finds the ] of a [, at most 500 characters on.
function bracket(text, from) {
  let open = 1;
  for (let i = from; i < text.length && i < from + 500; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '[') open++;
    else if (text[i] === ']' && --open === 0) return i;
  }
  return -1;
}

// close finds where emphasis that opens at i ends: -1 if nothing of the kind is left, -2 if this is no opening.
function close(text, mark, i) {
  const from = i + mark.length;
  const word = /[\p{L}\p{N}]/u;
  if (/\s/.test(text[from] ?? ' ') || (mark[0] === '_' && word.test(text[i - 1] ?? ''))) return -2;
  for (let end = text.indexOf(mark, from + 1); end >= 0; end = text.indexOf(mark, end + 1)) {
    if (mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark)) { // of a double one
      while (text[end + 1] === mark) end++;
      continue;
    }
    if (/\s/.test(text[end - 1]) || text[end - 1] === '\\' || (mark[0] === '_' && word.test(text[end + mark.length] ?? ''))) continue;
    if (mark.length === 2 && text[end + 2] === mark[0]) end++; // ***both***
    return end;
  }
  return -1;
}

function link(address, children) {
  let url;
  try {
    url = new URL(address);
  } catch {
    url = null;
  }
  if (!url || !['http:', 'https:', 'mailto:'].includes(url.protocol)) {
    const e = make('span', ...children); // where it would have led is told, and no more
    if (address) e.append(` (${address})`);
    return e;
  }
  const a = make('a', ...children);
  a.href = url.href;
  a.title = url.href;
  a.target = '_blank';
  a.rel = 'noopener noreferrer nofollow';
  return a;
}

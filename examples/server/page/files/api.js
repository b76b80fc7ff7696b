// The server's API: OpenAI's, and vLLM's /tokenize.

const base = new URL(document.querySelector('meta[name=api]').content || './', document.baseURI);

async function request(path, body, key, signal) {
  const headers = { 'Content-Type': 'application/json' };
  if (key) headers.Authorization = 'Bearer ' + key;
  const response = await fetch(new URL(path, base), { method: body ? 'POST' : 'GET', headers, body: body && JSON.stringify(body), signal, credentials: 'omit' });
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message || message;
  } catch { /* no JSON: the status says it */ }
  throw Object.assign(new Error(message), { status: response.status });
}

// models are those that the server has, each with id and, if it says so, max_model_len.
export async function models(key) {
  return (await (await request('v1/models', null, key)).json()).data;
}

// count is how many tokens a prompt has, undefined where the server does not tell.
export async function count(model, messages, key, signal) {
  try {
    return (await (await request('tokenize', { model, messages }, key, signal)).json()).count;
  } catch {
    return undefined;
  }
}

// chat asks for an answer, calls piece with each part of its text, and returns finish reason, usage and timings.
export async function chat(body, key, signal, piece) {
  const response = await request('v1/chat/completions', { ...body, stream: true, stream_options: { include_usage: true } }, key, signal);
  const end = {};
  for await (const data of events(response.body)) {
    if (data === '[DONE]') return end;
    const event = JSON.parse(data);
    if (event.error) throw new Error(event.error.message);
    const choice = event.choices?.[0];
    if (choice?.delta?.content) piece(choice.delta.content);
    if (choice?.finish_reason) end.finish = choice.finish_reason;
    if (event.usage) end.usage = event.usage;
    if (event.timings) end.timings = event.timings;
  }
  throw new Error('The connection ended before the answer did.');
}

// events are the data of server-sent events.
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith('data:')) yield line.slice(5).trim();
    }
  }
}

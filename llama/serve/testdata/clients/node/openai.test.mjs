// npm's openai against the server at $LLAMA31_URL.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.LLAMA31_URL + "/v1", apiKey: process.env.LLAMA31_KEY ?? "none", maxRetries: 0 });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const parameters = { type: "object", properties: { city: { type: "string", maxLength: 20 } }, required: ["city"], additionalProperties: false };

test("chat", async () => {
  const r = await client.chat.completions.create({ model: "smol", messages, temperature: 0, max_tokens: 20 });
  assert.match(r.choices[0].message.content, /Paris/);
  assert.equal(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens);
});

test("stream", async () => {
  const stream = await client.chat.completions.create({ model: "smol", messages, temperature: 0, max_tokens: 20, stream: true, stream_options: { include_usage: true } });
  let text = "", usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.match(text, /Paris/);
  assert.ok(usage.completion_tokens > 3);
});

test("structured output and tools", async () => {
  const schema = { type: "object", properties: { name: { type: "string", maxLength: 10 }, big: { type: "boolean" } }, required: ["name", "big"], additionalProperties: false };
  const r = await client.chat.completions.create({
    model: "tools", messages, max_tokens: 200, response_format: { type: "json_schema", json_schema: { name: "city", strict: true, schema } },
  });
  assert.equal(typeof JSON.parse(r.choices[0].message.content).big, "boolean");
  const stream = client.chat.completions.stream({
    model: "tools", messages, max_tokens: 200, tool_choice: "required", tools: [{ type: "function", function: { name: "get_weather", parameters, strict: true } }],
  });
  const call = (await stream.finalMessage()).tool_calls[0];
  assert.equal(call.function.name, "get_weather");
  assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
});

test("embeddings", async () => {
  const r = await client.embeddings.create({ model: "smol", input: ["a", "b"] });
  assert.equal(r.data.length, 2);
  assert.ok(Math.abs(r.data[0].embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-4);
});

test("responses", async () => {
  const r = await client.responses.create({ model: "smol", input: messages, temperature: 0, max_output_tokens: 20 });
  assert.match(r.output_text, /Paris/);
});

test("errors", async () => {
  await assert.rejects(client.chat.completions.create({ model: "smol", messages, temperature: 9 }), (e) => e.status === 400 && e.param === "temperature" && e.code === "decimal_above_max_value");
  await assert.rejects(client.models.retrieve("nosuch"), OpenAI.NotFoundError);
});

"""PyPI's openai against the server at $LLAMA31_URL: what its users write, unchanged but for the address."""

import json
import os
import unittest

import openai
from pydantic import BaseModel

URL = os.environ["LLAMA31_URL"]
client = openai.OpenAI(base_url=URL + "/v1", api_key=os.environ.get("LLAMA31_KEY", "none"), max_retries=0)
MODEL = "smol"
TOOLS = "tools"  # random weights with Llama 3.1's template, held to calls by their grammar
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


class City(BaseModel):
    name: str
    country: str
    capital: bool


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"], "additionalProperties": False},
        "strict": True,
    },
}


class Chat(unittest.TestCase):
    def test_answer(self):
        r = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_completion_tokens=20)
        self.assertIn("Paris", r.choices[0].message.content)
        self.assertEqual((r.object, r.choices[0].finish_reason, r.choices[0].message.role), ("chat.completion", "stop", "assistant"))
        self.assertEqual(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens)

    def test_any_model(self):
        r = client.chat.completions.create(model="gpt-4o", messages=QUESTION, max_tokens=1, user="u", metadata={"a": "b"}, store=False, service_tier="auto")
        self.assertEqual((r.model, r.choices[0].finish_reason), (MODEL, "length"))

    def test_stream(self):
        whole = client.chat.completions.create(model=MODEL, messages=QUESTION, seed=7, max_tokens=12, n=2)
        texts, finish, usage = ["", ""], ["", ""], None
        for chunk in client.chat.completions.create(model=MODEL, messages=QUESTION, seed=7, max_tokens=12, n=2, stream=True, stream_options={"include_usage": True}):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                finish[choice.index] = choice.finish_reason or finish[choice.index]
        self.assertEqual(texts, [c.message.content for c in whole.choices])
        self.assertEqual(finish, [c.finish_reason for c in whole.choices])
        self.assertEqual(usage.completion_tokens, whole.usage.completion_tokens)

    def test_helper_stream(self):
        with client.chat.completions.stream(model=MODEL, messages=QUESTION, temperature=0, max_tokens=20) as stream:
            deltas = [e.delta for e in stream if e.type == "content.delta"]
            final = stream.get_final_completion()
        self.assertEqual("".join(deltas), final.choices[0].message.content)

    def test_logprobs(self):
        r = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=8, logprobs=True, top_logprobs=3)
        tokens = r.choices[0].logprobs.content
        self.assertEqual(b"".join(bytes(t.bytes) for t in tokens).decode(), r.choices[0].message.content)
        self.assertTrue(all(len(t.top_logprobs) == 3 and t.top_logprobs[0].token == t.token and t.logprob <= 0 for t in tokens))

    def test_sampling(self):
        r = client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, stop=[" Paris"], frequency_penalty=0.1, presence_penalty=0.1, top_p=0.9)
        self.assertEqual(r.choices[0].message.content, "The capital of France is")
        bias = client.chat.completions.create(model=MODEL, messages=QUESTION, logit_bias={"504": -100}, temperature=0, max_tokens=3)
        self.assertFalse(bias.choices[0].message.content.startswith("The"))  # which is token 504

    def test_parse(self):
        r = client.chat.completions.parse(model=MODEL, messages=[{"role": "user", "content": "Tell me of Paris, as JSON."}], response_format=City, temperature=0, max_tokens=200,
                                          frequency_penalty=0.5)
        self.assertIsInstance(r.choices[0].message.parsed, City)

    def test_json_object(self):
        r = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "A short JSON object about Paris."}], response_format={"type": "json_object"}, max_tokens=8)
        self.assertTrue(r.choices[0].message.content.startswith("{"))

    def test_tools(self):
        question = [{"role": "user", "content": "What is the weather in Paris?"}]
        r = client.chat.completions.create(model=TOOLS, messages=question, tools=[WEATHER], tool_choice="required", temperature=0, max_tokens=100)
        self.assertEqual(r.choices[0].finish_reason, "tool_calls")
        call = r.choices[0].message.tool_calls[0]
        self.assertEqual((call.type, call.function.name), ("function", "get_weather"))
        self.assertEqual(list(json.loads(call.function.arguments)), ["city"])
        streamed = {}
        for chunk in client.chat.completions.create(model=TOOLS, messages=question, tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "get_weather"}}, temperature=0,
                                                    max_tokens=100, stream=True):
            for choice in chunk.choices:
                for piece in choice.delta.tool_calls or []:
                    one = streamed.setdefault(piece.index, {"id": piece.id, "name": piece.function.name, "arguments": ""})
                    one["arguments"] += piece.function.arguments or ""
        self.assertEqual((streamed[0]["name"], json.loads(streamed[0]["arguments"])), ("get_weather", json.loads(call.function.arguments)))
        self.assertTrue(streamed[0]["id"])
        more = question + [r.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 25 degrees"}]
        r = client.chat.completions.create(model=TOOLS, messages=more, tools=[WEATHER], tool_choice="none", max_tokens=20)
        self.assertTrue(r.choices[0].message.content)


class Others(unittest.TestCase):
    def test_completions(self):
        r = client.completions.create(model=MODEL, prompt=["The capital of France is", "One, two,"], temperature=0, max_tokens=4, logprobs=2, echo=True)
        self.assertTrue(r.choices[0].text.startswith("The capital of France is Paris"))
        self.assertIsNone(r.choices[0].logprobs.token_logprobs[0])
        self.assertEqual("".join(r.choices[1].logprobs.tokens), r.choices[1].text)
        with self.assertRaises(openai.BadRequestError):
            client.completions.create(model=MODEL, prompt="a", suffix="b")

    def test_embeddings(self):
        # The client asks for base64 by itself, and for numbers if told to.
        texts = ["a small dog", "a puppy", "the stock market"]
        binary = client.embeddings.create(model=MODEL, input=texts).data
        plain = client.embeddings.create(model=MODEL, input=texts, encoding_format="float").data
        self.assertLess(max(abs(a - b) for x, y in zip(binary, plain) for a, b in zip(x.embedding, y.embedding)), 1e-6)
        cosine = lambda i, j: sum(a * b for a, b in zip(plain[i].embedding, plain[j].embedding))
        self.assertAlmostEqual(cosine(0, 0), 1, 4)
        self.assertGreater(cosine(0, 1), cosine(0, 2))

    def test_models(self):
        self.assertEqual(client.models.retrieve(MODEL).id, MODEL)
        with self.assertRaises(openai.NotFoundError):
            client.models.retrieve("nosuch")

    def test_errors(self):
        for kwargs, param in [
            ({"temperature": 5}, "temperature"),
            ({"messages": []}, "messages"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages[0].content[0].type"),
            ({"n": "two"}, "n"),
        ]:
            with self.assertRaises(openai.BadRequestError) as e:
                client.chat.completions.create(**({"model": MODEL, "messages": QUESTION} | kwargs))
            self.assertEqual((e.exception.param, e.exception.type), (param, "invalid_request_error"))
            self.assertTrue(e.exception.code and e.exception.request_id)
        with self.assertRaises(openai.BadRequestError) as e:
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 10000}])
        self.assertEqual(e.exception.code, "context_length_exceeded")


class Responses(unittest.TestCase):
    def test_answer(self):
        r = client.responses.create(model=MODEL, input="What is the capital of France?", instructions="Be brief.", temperature=0, max_output_tokens=20)
        self.assertIn("Paris", r.output_text)
        self.assertEqual(r.status, "completed")
        self.assertEqual(r.usage.total_tokens, r.usage.input_tokens + r.usage.output_tokens)

    def test_stream(self):
        text, kinds = "", []
        for event in client.responses.create(model=MODEL, input="What is the capital of France?", temperature=0, max_output_tokens=20, stream=True):
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
        self.assertEqual((kinds[0], kinds[-1]), ("response.created", "response.completed"))
        self.assertEqual(event.response.output_text, text)
        self.assertIn("Paris", text)

    def test_helper_stream(self):
        with client.responses.stream(model=MODEL, input="What is the capital of France?", temperature=0, max_output_tokens=40) as stream:
            for _ in stream:
                pass
            self.assertTrue(stream.get_final_response().output_text)

    def test_parse(self):
        r = client.responses.parse(model=MODEL, input="Tell me of Paris, as JSON.", text_format=City, temperature=0, max_output_tokens=200)
        self.assertTrue(r.output_parsed is None or isinstance(r.output_parsed, City))
        self.assertEqual(r.output_parsed is None, r.status == "incomplete")

    def test_tools(self):
        tool = {"type": "function", **WEATHER["function"]}
        r = client.responses.create(model=TOOLS, input="The weather in Paris?", tools=[tool], tool_choice="required", temperature=0, max_output_tokens=100)
        call = r.output[0]
        self.assertEqual((call.type, call.name), ("function_call", "get_weather"))
        r = client.responses.create(model=TOOLS, tools=[tool], tool_choice="none", max_output_tokens=20,
                                    input=[{"role": "user", "content": "The weather in Paris?"}, call, {"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"}])
        self.assertTrue(r.output_text)
        done = [e for e in client.responses.create(model=TOOLS, input="The weather in Paris?", tools=[tool], tool_choice={"type": "function", "name": "get_weather"}, temperature=0,
                                                   max_output_tokens=100, stream=True) if e.type == "response.function_call_arguments.done"]
        self.assertEqual(done[0].arguments, call.arguments)


if __name__ == "__main__":
    unittest.main()

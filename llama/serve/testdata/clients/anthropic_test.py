"""PyPI's anthropic against the server at $LLAMA31_URL."""

import os
import unittest

import anthropic

client = anthropic.Anthropic(base_url=os.environ["LLAMA31_URL"], api_key=os.environ.get("LLAMA31_KEY", "none"), max_retries=0)
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
GREEDY = {"temperature": 0}  # newer versions have no argument for it
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"], "additionalProperties": False},
}


class Messages(unittest.TestCase):
    def ask(self, **kwargs):
        return client.messages.create(**({"model": "claude-sonnet-4-5", "max_tokens": 20, "messages": QUESTION, "extra_body": GREEDY} | kwargs))

    def test_answer(self):
        r = self.ask(system="Be brief.")
        self.assertIn("Paris", r.content[0].text)
        self.assertEqual((r.type, r.role, r.stop_reason), ("message", "assistant", "end_turn"))
        n = client.messages.count_tokens(model="claude-sonnet-4-5", messages=QUESTION, system="Be brief.")
        self.assertEqual(n.input_tokens, r.usage.input_tokens)

    def test_stream(self):
        with client.messages.stream(model="claude-sonnet-4-5", max_tokens=20, messages=QUESTION, extra_body=GREEDY) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual((final.content[0].text, final.stop_reason), (text, "end_turn"))
        self.assertIn("Paris", text)
        self.assertEqual(final.usage.output_tokens, self.ask().usage.output_tokens)

    def test_stop(self):
        r = self.ask(stop_sequences=[" Paris"])
        self.assertEqual((r.stop_reason, r.stop_sequence, r.content[0].text), ("stop_sequence", " Paris", "The capital of France is"))
        self.assertEqual(self.ask(max_tokens=1).stop_reason, "max_tokens")

    def test_prefill(self):
        r = self.ask(messages=QUESTION + [{"role": "assistant", "content": "The capital of France is"}])
        self.assertTrue(r.content[0].text.startswith(" Paris"))

    def test_tools(self):
        question = [{"role": "user", "content": "What is the weather in Paris?"}]
        r = self.ask(model="tools", messages=question, tools=[WEATHER], tool_choice={"type": "any"}, max_tokens=100)
        call = r.content[-1]
        self.assertEqual((r.stop_reason, call.type, call.name, list(call.input)), ("tool_use", "tool_use", "get_weather", ["city"]))
        with client.messages.stream(model="tools", max_tokens=100, messages=question, tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"}, extra_body=GREEDY) as stream:
            pieces = [e.partial_json for e in stream if e.type == "input_json"]
            final = stream.get_final_message()
        self.assertEqual((final.content[-1].input, final.stop_reason), (call.input, "tool_use"))
        self.assertGreater(len(pieces), 1)
        result = [{"role": "assistant", "content": r.content}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "Sunny"}]}]
        self.assertTrue(self.ask(model="tools", messages=question + result, tools=[WEATHER], tool_choice={"type": "none"}).content[0].text)

    def test_models(self):
        models = client.models.list()
        self.assertTrue(client.models.retrieve(models.data[0].id).display_name)

    def test_errors(self):
        for kwargs in [{"max_tokens": 0}, {"messages": []}, {"extra_body": {"temperature": "warm"}}]:
            with self.assertRaises(anthropic.BadRequestError) as e:
                self.ask(**kwargs)
            self.assertEqual(e.exception.body["error"]["type"], "invalid_request_error")
            self.assertTrue(e.exception.request_id)
        with self.assertRaises(anthropic.NotFoundError):
            client.models.retrieve("nosuch")


if __name__ == "__main__":
    unittest.main()

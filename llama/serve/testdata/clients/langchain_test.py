"""PyPI's langchain-openai against the server at $LLAMA31_URL."""

import os
import unittest
from typing import Annotated

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

ARGS = {"base_url": os.environ["LLAMA31_URL"] + "/v1", "api_key": os.environ.get("LLAMA31_KEY", "none"), "model": "llama", "max_retries": 0}


class City(BaseModel):
    name: str = Field(max_length=20)
    capital: bool


@tool
def get_weather(city: Annotated[str, Field(max_length=20)]) -> str:
    """The weather in a city."""
    return "Sunny in " + city


class LangChain(unittest.TestCase):
    def setUp(self):
        self.llm = ChatOpenAI(temperature=0, max_tokens=60, **ARGS)

    def test_invoke(self):
        r = self.llm.invoke("What is the capital of France?")
        self.assertIn("Paris", r.content)
        self.assertGreater(r.usage_metadata["input_tokens"], 0)

    def test_stream(self):
        pieces = list(self.llm.stream("What is the capital of France?"))
        self.assertGreater(len(pieces), 3)
        self.assertIn("Paris", "".join(p.content for p in pieces))

    def test_responses(self):
        self.assertIn("Paris", self.llm.model_copy(update={"use_responses_api": True}).invoke("What is the capital of France?").text)

    def test_structured(self):
        self.assertIsInstance(self.llm.with_structured_output(City, method="json_schema").invoke("Tell me of Paris."), City)

    def test_tools(self):
        question = [HumanMessage("What is the weather in Paris?")]
        llm = ChatOpenAI(temperature=0, max_tokens=400, frequency_penalty=1, **ARGS | {"model": "tools"})
        r = llm.bind_tools([get_weather], tool_choice="required").invoke(question)
        call = r.tool_calls[0]
        self.assertEqual((call["name"], list(call["args"])), ("get_weather", ["city"]))
        r = llm.bind_tools([get_weather], tool_choice="none").invoke(question + [r, ToolMessage("Sunny", tool_call_id=call["id"])])
        self.assertTrue(r.content)

    def test_embeddings(self):
        e = OpenAIEmbeddings(check_embedding_ctx_length=False, **ARGS)
        self.assertEqual(len(e.embed_documents(["a", "b"])), 2)
        self.assertGreater(len(e.embed_query("a")), 100)


if __name__ == "__main__":
    unittest.main()

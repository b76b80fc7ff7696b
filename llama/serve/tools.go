package serve

import (
	"encoding/json"

	"github.com/llama31/llama31/llama"
)

// callPiece is a piece of a call as it is written: of a call's first piece the name and id, then its arguments bit by bit.
type callPiece struct {
	index     int
	id, name  string
	arguments string
}

// pieceOf is a token's part in a call; nil: none.
func pieceOf(llama.Token) *callPiece { return nil }

// pieces gives the pieces of calls that did not come token by token: of a response those from the n-th on.
func pieces(calls []llama.ToolCall, n int) []callPiece {
	var all []callPiece
	for i, c := range calls {
		if i >= n {
			all = append(all, callPiece{index: i, id: c.ID, name: c.Name, arguments: argumentsText(c)})
		}
	}
	return all
}

func argumentsText(c llama.ToolCall) string {
	if len(c.Arguments) == 0 {
		return "{}"
	}
	return string(c.Arguments)
}

// toolName reads the name of a function.
func toolName(v value) string {
	name := v.need().string()
	if len(name) > 128 {
		v.fail("string_above_max_length", "%s has %d characters, expected 128 at most", v.path, len(name))
	}
	return name
}

// readTools reads OpenAI's tools: of chat completions with a function inside, or, flat, of responses.
func readTools(v value) []llama.Tool {
	var tools []llama.Tool
	for _, e := range v.list() {
		o := e.object()
		kind := o.get("type").need()
		if kind.string() != "function" {
			kind.fail("unsupported_value", "%s is %.40q, expected function: there are no other tools here", kind.path, kind.string())
		}
		f := o
		if o.get("function").ok() {
			f = o.get("function").object()
		}
		tools = append(tools, llama.Tool{Name: toolName(f.get("name")), Description: f.get("description").string(), Parameters: readSchema(f.get("parameters"))})
	}
	return tools
}

// readSchema is an object that stays as it is.
func readSchema(v value) json.RawMessage {
	if !v.is("an object") {
		return nil
	}
	return v.raw
}

package serve

import "maps"

// schema is a JSON Schema of OpenAPI 3.1.
type schema map[string]any

func typed(kind, says string) schema { return schema{"type": kind, "description": says} }
func text(says string) schema        { return typed("string", says) }
func flag(says string) schema        { return typed("boolean", says) }

func integer(least, most int64, says string) schema {
	return schema{"type": "integer", "minimum": least, "maximum": most, "description": says}
}

func number(least, most float64, says string) schema {
	return schema{"type": "number", "minimum": least, "maximum": most, "description": says}
}

func array(items schema, least int, says string) schema {
	return schema{"type": "array", "items": items, "minItems": least, "description": says}
}

func enum(values ...string) schema { return schema{"type": "string", "enum": values} }
func anyOf(some ...schema) schema  { return schema{"anyOf": some} }
func ref(name string) schema       { return schema{"$ref": "#/components/schemas/" + name} }

// orNull are fields that may be null, which is as if they were absent.
func orNull(fields schema) schema {
	out := schema{}
	for name, f := range fields {
		out[name] = anyOf(f.(schema), schema{"type": "null"})
	}
	return out
}

// fields is an object with fields that have to be there, and others.
func fields(required, optional schema) schema {
	all := maps.Clone(required)
	if all == nil {
		all = schema{}
	}
	maps.Copy(all, optional)
	s := schema{"type": "object", "properties": all}
	if len(required) > 0 {
		names := []string{}
		for name := range required {
			names = append(names, name)
		}
		s["required"] = names
	}
	return s
}

// samplingFields are what readSampling reads.
func (s *server) samplingFields() schema {
	return schema{
		"temperature": number(0, 2, "0 takes the most probable token; absent: as the model's file recommends"), "top_p": number(0, 1, ""),
		"top_k": integer(-1, maxTokens, "-1 or 0: all"), "min_p": number(0, 1, ""), "typical_p": number(0, 1, ""),
		"frequency_penalty": number(-2, 2, ""), "presence_penalty": number(-2, 2, ""), "repetition_penalty": number(0, 10, ""),
		"seed":       schema{"type": "integer", "description": "the same one gives the same text"},
		"ignore_eos": flag("stop tokens are not drawn"),
		"logit_bias": schema{"type": "object", "propertyNames": schema{"pattern": "^[0-9]+$"}, "additionalProperties": number(-100, 100, ""), "description": "by token id; -100 forbids a token"},
	}
}

// vocabulary is the size of the smallest, 0 if none is known.
func (s *server) vocabulary() int64 {
	least := int64(0)
	for _, m := range s.models.list {
		if m.local != nil {
			if n := int64(m.local.Info().Vocabulary); least == 0 || n < least {
				least = n
			}
		}
	}
	return least
}

func (s *server) openapiSchemas() schema {
	token := integer(0, max(1, s.vocabulary())-1, "a token's id")
	input := anyOf(text(""), array(text(""), 1, ""), array(token, 1, ""), array(array(token, 1, ""), 1, ""))
	stop := anyOf(text(""), schema{"type": "array", "items": schema{"type": "string", "minLength": 1}, "maxItems": maxStops})
	textPart := fields(schema{"type": enum("text", "input_text", "output_text"), "text": text("")}, nil)
	content := anyOf(text(""), array(textPart, 0, ""))
	name := schema{"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$"}
	function := fields(schema{"name": name}, orNull(schema{"description": text(""), "parameters": typed("object", "JSON Schema of the arguments")}))
	arguments := schema{"type": []string{"string", "object"}, "contentMediaType": "application/json", "examples": []string{`{"city": "Paris"}`}, "description": "a JSON object"}
	calls := array(fields(schema{"function": fields(schema{"name": text("")}, orNull(schema{"arguments": arguments}))}, orNull(schema{"id": text(""), "type": enum("function")})), 0, "")
	common := s.samplingFields()
	maps.Copy(common, schema{"model": text("one of /v1/models; absent: the first"), "user": text("who asks, for sharing the model fairly"), "stream": flag("as server-sent events")})
	with := func(more schema) schema {
		all := maps.Clone(common)
		maps.Copy(all, more)
		return orNull(all)
	}
	tokens := func(least int64) schema { return integer(least, maxTokens, "most tokens to generate") }
	count := typed("integer", "")
	usage := fields(schema{"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}, nil)
	answer := func(object string, choice schema) schema {
		return fields(schema{"id": text(""), "object": enum(object), "created": count, "model": text(""), "choices": array(choice, 0, ""), "usage": usage}, nil)
	}
	finish := enum("stop", "length", "tool_calls")
	tokenName := schema{"type": []string{"string", "null"}}
	block := anyOf(textPartOf("text"), fields(schema{"type": enum("tool_use"), "id": text(""), "name": name}, orNull(schema{"input": schema{"type": "object"}})),
		fields(schema{"type": enum("tool_result"), "tool_use_id": text("")}, orNull(schema{"content": anyOf(text(""), array(textPartOf("text"), 0, ""))})))
	messages := fields(schema{"messages": array(ref("Turn"), 1, "")}, orNull(schema{"model": text(""), "system": anyOf(text(""), array(textPartOf("text"), 0, "")), "max_tokens": tokens(1),
		"temperature": number(0, 2, ""), "top_p": number(0, 1, ""), "top_k": integer(-1, maxTokens, ""), "stream": flag("as server-sent events"),
		"stop_sequences": stop,
		"tools":          array(fields(schema{"name": name, "input_schema": typed("object", "JSON Schema")}, orNull(schema{"description": text("")})), 0, "")}))
	create := maps.Clone(messages)
	create["required"] = []string{"messages", "max_tokens"}
	created := maps.Clone(messages["properties"].(schema))
	created["max_tokens"] = tokens(1)
	create["properties"] = created
	return schema{
		"Message": schema{"oneOf": []schema{
			fields(schema{"role": enum("system", "developer", "user"), "content": content}, nil),
			fields(schema{"role": enum("assistant")}, orNull(schema{"content": content, "tool_calls": calls})),
			fields(schema{"role": enum("tool"), "content": content}, orNull(schema{"tool_call_id": text("")}))}},
		"Tool": fields(schema{"type": enum("function"), "function": function}, nil),
		"ChatRequest": fields(schema{"messages": array(ref("Message"), 1, "")}, with(schema{"max_completion_tokens": tokens(1), "max_tokens": tokens(1),
			"n": integer(1, maxChoices, "choices"), "stop": stop, "logprobs": flag(""), "tools": array(ref("Tool"), 0, ""), "continue_final_message": flag("go on with the last message, which is the assistant's"),
			"tool_choice": anyOf(enum("auto", "none", "required"), fields(schema{"type": enum("function"), "function": fields(schema{"name": name}, nil)}, nil)), "parallel_tool_calls": flag(""),
			"top_logprobs": integer(0, maxTop, "alternatives per token, with logprobs"), "stream_options": fields(nil, orNull(schema{"include_usage": flag("with stream")})),
			"response_format": anyOf(fields(schema{"type": enum("text", "json_object")}, nil), fields(schema{"type": enum("json_schema"), "json_schema": fields(schema{"schema": typed("object", "JSON Schema")},
				orNull(schema{"name": text(""), "strict": flag("")}))}, nil))})),
		"ChatResponse": answer("chat.completion", fields(schema{"index": count, "message": fields(schema{"role": enum("assistant"), "content": schema{"type": []string{"string", "null"}}}, nil), "finish_reason": finish}, nil)),
		"CompletionRequest": fields(schema{"prompt": input}, with(schema{"max_tokens": tokens(0), "n": integer(1, maxChoices, "choices"), "stop": stop, "echo": flag("begin with the prompt"),
			"logprobs": integer(0, maxTop, "alternatives per token")})),
		"CompletionResponse": answer("text_completion", fields(schema{"index": count, "text": text(""), "finish_reason": finish}, nil)),
		"EmbeddingRequest":   fields(schema{"input": input}, orNull(schema{"model": text(""), "encoding_format": enum("float", "base64"), "user": text("")})),
		"EmbeddingResponse": fields(schema{"object": enum("list"), "model": text(""), "data": array(fields(schema{"object": enum("embedding"), "index": count,
			"embedding": anyOf(array(typed("number", ""), 1, ""), text("float32, little-endian, in base64"))}, nil), 1, "")}, nil),
		"Item": anyOf(fields(schema{"role": enum("system", "developer", "user"), "content": content}, orNull(schema{"type": enum("message")})),
			fields(schema{"role": enum("assistant")}, orNull(schema{"type": enum("message"), "content": content})),
			fields(schema{"type": enum("function_call"), "call_id": text(""), "name": name}, orNull(schema{"arguments": arguments})),
			fields(schema{"type": enum("function_call_output"), "call_id": text(""), "output": content}, nil)),
		"ResponseRequest": fields(schema{"input": anyOf(text(""), array(ref("Item"), 1, ""))}, with(schema{"instructions": text(""), "max_output_tokens": tokens(1),
			"top_logprobs": integer(0, maxTop, ""), "truncation": enum("auto", "disabled"),
			"tools": array(fields(schema{"type": enum("function"), "name": name}, orNull(schema{"description": text(""), "parameters": typed("object", "JSON Schema of the arguments")})), 0, "")})),
		"ResponseResponse": fields(schema{"id": text(""), "object": enum("response"), "status": enum("completed", "incomplete"), "model": text(""), "output": array(typed("object", ""), 1, "")}, nil),
		"Turn":             fields(schema{"role": enum("user", "assistant"), "content": anyOf(text(""), array(block, 0, ""))}, nil),
		"MessagesRequest":  create,
		"CountRequest":     messages,
		"MessagesResponse": fields(schema{"id": text(""), "type": enum("message"), "role": enum("assistant"), "model": text(""), "content": array(typed("object", ""), 0, ""),
			"stop_reason": enum("end_turn", "max_tokens", "stop_sequence", "tool_use"), "usage": typed("object", "")}, nil),
		"CountResponse": fields(schema{"input_tokens": count}, nil),
		"TokenizeRequest": anyOf(fields(schema{"prompt": text("")}, orNull(schema{"model": text(""), "add_special_tokens": flag("begin with the model's beginning-of-text token, if it wants one"), "return_token_strs": flag("")})),
			fields(schema{"messages": array(ref("Message"), 1, "")}, orNull(schema{"model": text(""), "return_token_strs": flag("")}))),
		"TokenizeResponse":   fields(schema{"count": count, "max_model_len": count, "tokens": array(count, 0, "")}, nil),
		"DetokenizeRequest":  fields(schema{"tokens": array(token, 0, "")}, orNull(schema{"model": text("")})),
		"DetokenizeResponse": fields(schema{"prompt": text("")}, nil),
		"TokenizerInfo":      fields(schema{"bos_token": tokenName, "eos_token": tokenName, "pad_token": tokenName, "add_bos_token": flag("prompts begin with bos_token"), "model_max_length": count}, nil),
		"Model":              fields(schema{"id": text(""), "object": enum("model"), "created": count, "owned_by": text("")}, schema{"max_model_len": count}),
		"Models":             fields(schema{"object": enum("list"), "data": array(ref("Model"), 1, "")}, nil),
		"Status":             fields(schema{"status": text("")}, nil),
		"Error":              fields(schema{"error": fields(schema{"message": text(""), "type": text("")}, schema{"param": schema{"type": []string{"string", "null"}}, "code": schema{"type": []string{"string", "null"}}})}, nil),
	}
}

func textPartOf(kind string) schema { return fields(schema{"type": enum(kind), "text": text("")}, nil) }

// openapi describes the endpoints (OpenAPI 3.1).
func (c *call) openapi() error {
	body := func(name string) schema { return schema{"application/json": schema{"schema": ref(name)}} }
	says := func(says string, content schema) schema { return schema{"description": says, "content": content} }
	failure := says("what was wrong", body("Error"))
	answers := func(content schema, codes ...string) schema {
		all := schema{"200": says("the answer", content)}
		for _, code := range append(codes, "400", "403", "500") {
			all[code] = failure
		}
		if c.s.Keys != nil {
			all["401"] = failure
		}
		return all
	}
	get := func(summary string, content schema, codes ...string) schema {
		return schema{"get": schema{"summary": summary, "responses": answers(content, codes...)}}
	}
	post := func(summary, request, response string, streams bool) schema {
		content := body(response)
		if streams {
			content["text/event-stream"] = schema{} // server-sent events, with stream
		}
		return schema{"post": schema{"summary": summary, "requestBody": schema{"required": true, "content": body(request)},
			"responses": answers(content, "404", "408", "413", "415", "429", "503", "504")}}
	}
	model := get("One model", body("Model"), "404")
	model["parameters"] = []schema{{"name": "model", "in": "path", "required": true, "schema": schema{"type": "string", "minLength": 1}}}
	doc := schema{
		"openapi": "3.1.0",
		"info":    schema{"title": "llama31", "version": "1", "description": "OpenAI's and Anthropic's APIs over local models. Fields beyond those that are here are passed over."},
		"paths": schema{
			"/v1/chat/completions":      post("Answer a conversation", "ChatRequest", "ChatResponse", true),
			"/v1/completions":           post("Continue texts", "CompletionRequest", "CompletionResponse", true),
			"/v1/embeddings":            post("Vectors of texts", "EmbeddingRequest", "EmbeddingResponse", false),
			"/v1/responses":             post("Answer items", "ResponseRequest", "ResponseResponse", true),
			"/v1/messages":              post("Answer a conversation, as Anthropic's", "MessagesRequest", "MessagesResponse", true),
			"/v1/messages/count_tokens": post("Count a conversation's tokens", "CountRequest", "CountResponse", false),
			"/v1/models":                get("The models", body("Models")),
			"/v1/models/{model}":        model,
			"/tokenize":                 post("A text's tokens", "TokenizeRequest", "TokenizeResponse", false),
			"/detokenize":               post("The tokens' text", "DetokenizeRequest", "DetokenizeResponse", false),
			"/tokenizer_info":           get("The first model's tokenizer", body("TokenizerInfo")),
			"/health":                   get("Whether the server runs", body("Status")),
			"/ready":                    get("Whether it takes requests", body("Status"), "503"),
			"/metrics":                  get("Prometheus's metrics", schema{"text/plain": schema{"schema": text("")}}),
			"/openapi.json":             get("This", schema{"application/json": schema{"schema": typed("object", "")}}),
		},
		"components": schema{"schemas": c.s.openapiSchemas()},
	}
	if c.s.Keys != nil {
		doc["components"].(schema)["securitySchemes"] = schema{"key": schema{"type": "http", "scheme": "bearer"}}
		doc["security"] = []schema{{"key": []string{}}}
	}
	return c.reply(doc)
}

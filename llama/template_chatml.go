package llama

import "strings"

// smolLM2System is what SmolLM2's template says where no system message comes first.
const smolLM2System = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

// chatML is OpenAI's format of 2023, that of SmolLM2 and many fine-tuned models. It has no words for tools.
type chatML struct {
	system string // where no system message comes first
}

func (t chatML) render(c *conversation) (string, error) {
	if len(c.tools) > 0 {
		return "", templateError("this model's chat format has no tools")
	}
	var b strings.Builder
	message := func(role Role, content string) {
		b.WriteString("<|im_start|>" + string(role) + "\n" + content + "<|im_end|>\n")
	}
	for i, m := range c.messages {
		if len(m.ToolCalls) > 0 {
			return "", templateError("message %d: this model's chat format has no tool calls", i)
		}
		if i == 0 && m.Role != RoleSystem && t.system != "" {
			message(RoleSystem, t.system)
		}
		message(m.Role, m.Content)
	}
	if c.open {
		b.WriteString("<|im_start|>assistant\n")
	}
	return b.String(), nil
}

package llama

// conversation is what a chat template renders.
type conversation struct {
	messages []Message
	tools    []Tool
	date     string // of the system header, such as "26 Jul 2024"
	open     bool   // end with the assistant's header, for the model to go on
	bos, eos string // the control tokens' texts
}

// A template renders a conversation to the text that the model was trained on, the beginning-of-text token included where it
// belongs. Control tokens in messages must not become control tokens: see prompt.
type template interface {
	render(c *conversation) (string, error)
}

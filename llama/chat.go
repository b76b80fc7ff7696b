package llama

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/llama31/llama31/tokenizer"
)

// conversation is what a chat template renders.
type conversation struct {
	messages      []Message
	tools         []Tool
	toolsInSystem bool      // show custom tools in the system message, not in the first user message (Llama 3.1)
	date          string    // of the system header, such as "26 Jul 2024"; empty: what the template has for it
	now           time.Time // for templates that ask; zero: the clock's
	open          bool      // end with the assistant's header, for the model to go on
	bos, eos      string    // the control tokens' texts; empty: the tokenizer's
}

// clock is the time that a template is told.
func (c *conversation) clock() time.Time {
	if c.now.IsZero() {
		return time.Now()
	}
	return c.now
}

func templateError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTemplate, fmt.Sprintf(format, args...))
}

// A template renders a conversation to the text that the model was trained on, the beginning-of-text token included where it
// belongs. Control tokens in messages must not become control tokens: see encodePrompt.
type template interface {
	render(c *conversation) (string, error)
}

// published are the templates that model cards publish and that are rendered natively, by the SHA-256 of their text. Any other
// text, however alike, is rendered as the Jinja that it is.
var published = map[string]template{
	"93c0e9aa3629bbd77e68dbc0f5621f6e6b23aa8d74b932595cdb8d64684526d7": llama31, // also 3.3
	"d82792f95932f1c9cef5c4bd992f171225e3bf8c7b609b4557c9e1ec96be819f": llama3{},
	"872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788": chatML{system: smolLM2System},
}

// newTemplate returns the template of a model: of the text that its file has as tokenizer.chat_template, or without any, of the
// format that the vocabulary has the control tokens for.
func newTemplate(source string, tok *tokenizer.Tokenizer) (template, error) {
	if strings.TrimSpace(source) == "" {
		control := func(name string) bool {
			id, ok := tok.ID(name)
			return ok && tok.IsControl(id)
		}
		switch {
		case control("<|start_header_id|>"):
			return llama31, nil
		case control("<|im_start|>"):
			return chatML{}, nil
		}
		return nil, fmt.Errorf("%w: the model file has none, and its vocabulary has neither <|start_header_id|> nor <|im_start|>", ErrTemplate)
	}
	sum := sha256.Sum256([]byte(strings.TrimSuffix(source, "\n"))) // Jinja ignores one newline at the end
	if native, ok := published[hex.EncodeToString(sum[:])]; ok {
		return native, nil
	}
	t, err := newJinja(source)
	if err != nil {
		return nil, err
	}
	return t, nil
}

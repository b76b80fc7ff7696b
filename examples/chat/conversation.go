package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/llama31/llama31/llama"
)

const help = `/reset        forget the conversation
/system TEXT  set the system prompt and forget the conversation
/model NAME   go on with another model, a file or what is downloaded, and forget the conversation
/save FILE    write the messages to FILE, and what the model computed of them to FILE.kv
/load FILE    go on with them
/bye          end
Ctrl-C        stop an answer; at the prompt: end
`

// conversation is a chat with its user.
type conversation struct {
	open        func(name string, status io.Writer) (*llama.Model, error)
	model       *llama.Model
	request     llama.Request // of a new chat
	chat        *llama.Chat
	out, status io.Writer
	interactive bool // on a terminal
}

// run answers line by line until the end of input. On a terminal the conversation goes on after an error; in a pipe it is the end.
func (c *conversation) run(in lines) error {
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		line = strings.TrimSpace(line)
		command, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch {
		case line == "":
		case command == "/bye":
			return nil
		case command == "/help":
			fmt.Fprint(c.status, help)
		case command == "/reset":
			c.chat = c.model.NewChat(c.request)
		case command == "/system":
			c.request.Messages = nil
			if rest != "" {
				c.request.Messages = []llama.Message{llama.System(rest)}
			}
			c.chat = c.model.NewChat(c.request)
		case command == "/model" && rest != "":
			err = c.change(rest)
		case command == "/save" && rest != "":
			err = c.interruptible(func(ctx context.Context) error { return c.save(ctx, rest) })
		case command == "/load" && rest != "":
			err = c.interruptible(func(ctx context.Context) error { return c.load(ctx, rest) })
		case command == "/save" || command == "/load":
			err = fmt.Errorf("%s FILE: the name is missing", command)
		case command == "/model":
			err = errors.New("/model NAME: the name is missing")
		case strings.HasPrefix(line, "/"):
			err = fmt.Errorf("no command %s; /help lists them", command)
		default:
			err = c.interruptible(func(ctx context.Context) error { return answer(ctx, c.chat, line, c.out, c.status) })
		}
		if err != nil && !c.interactive {
			return err
		}
		if err != nil {
			fmt.Fprintln(c.status, "chat:", err)
		}
	}
}

// introduce says which model answers.
func (c *conversation) introduce() {
	i := c.model.Info()
	size := fmt.Sprintf("%.1f GB", float64(i.Bytes)/1e9)
	if i.Bytes < 1e8 {
		size = fmt.Sprintf("%.1f MB", float64(i.Bytes)/1e6)
	}
	fmt.Fprintf(c.status, "%s, %s, on %s (%s, %d threads), context %d. /help lists commands.\n", i.Name, size, i.Device, i.Detail, i.Threads, i.Context)
}

// change goes on with another model. The one before is closed only when the new one is there.
func (c *conversation) change(name string) error {
	m, err := c.open(name, c.status)
	if err != nil {
		return err
	}
	before := c.model
	c.model, c.chat = m, m.NewChat(c.request)
	c.introduce()
	return before.Close()
}

// interruptible lets Ctrl-C on a terminal end f, and not the program.
func (c *conversation) interruptible(f func(ctx context.Context) error) error {
	if !c.interactive {
		return f(context.Background())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return f(ctx)
}

func (c *conversation) save(ctx context.Context, name string) error {
	if err := create(name, c.chat.Save); err != nil {
		return err
	}
	tokens := 0
	err := create(name+".kv", func(w io.Writer) (err error) {
		tokens, err = c.chat.SaveKV(ctx, w)
		return err
	})
	if err == nil {
		fmt.Fprintf(c.status, "saved %d messages, %d tokens computed\n", len(c.chat.History()), tokens)
	}
	return err
}

func create(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func (c *conversation) load(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.chat.Restore(f); err != nil {
		return err
	}
	tokens := 0
	if kv, err := os.Open(name + ".kv"); err == nil {
		defer kv.Close()
		if tokens, err = c.model.RestoreKV(ctx, kv); err != nil {
			fmt.Fprintln(c.status, "it will be computed again:", err)
		}
	}
	fmt.Fprintf(c.status, "loaded %d messages, %d tokens computed\n", len(c.chat.History()), tokens)
	return nil
}

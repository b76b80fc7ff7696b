package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdp "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/llama31/llama31/internal/testenv"
	"github.com/llama31/llama31/llama"
	"github.com/llama31/llama31/llama/llamatest"
	"github.com/llama31/llama31/llama/serve"
)

// A browser is a tab of Chromium with the page in it, and the model that answers.
type browser struct {
	*testing.T
	ctx   context.Context
	model *llamatest.Model
	url   string

	mu       sync.Mutex
	problems []string // what the console says: errors, violations of the policy
	asked    []string // paths that the server was asked for
}

func open(t *testing.T, keys *serve.Keys, answer func(i int, r llama.Request) llamatest.Answer) *browser {
	b := &browser{T: t, model: &llamatest.Model{Answer: answer}}
	api := serve.Handler(b.model, serve.Options{Name: "Llama-3.1-8B-Instruct", Fallback: Handler(""), Keys: keys})
	b.start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch { // what the scripted model has not
		case keys == nil && r.URL.Path == "/v1/models":
			fmt.Fprint(w, `{"data":[{"id":"Llama-3.1-8B-Instruct","max_model_len":8192}]}`)
		case r.URL.Path == "/tokenize":
			fmt.Fprint(w, `{"count":42}`)
		default:
			api.ServeHTTP(w, r)
		}
	}))
	if keys == nil {
		b.await(`document.querySelector('#model').value !== ''`)
	}
	return b
}

// start opens the page of a server.
func (b *browser) start(api http.Handler) {
	t := b.T
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	testenv.Have(t, "chromium", program != "", "no Chromium; on Debian: apt install chromium")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked = append(b.asked, r.URL.Path)
		b.mu.Unlock()
		api.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	b.url = s.URL
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1400, 900))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	hear := func(e any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := e.(type) {
		case *cdp.EventExceptionThrown:
			b.problems = append(b.problems, fmt.Sprint(e.ExceptionDetails))
		case *cdp.EventConsoleAPICalled:
			b.problems = append(b.problems, fmt.Sprint(e))
		}
	}
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithErrorf(log.New(t.Output(), "", 0).Printf), chromedp.WithListener(hear))
	t.Cleanup(cancel)
	b.run(chromedp.Navigate(b.url))
}

func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// value evaluates an expression in the page.
func value[T any](b *browser, expression string) (v T) {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// do runs statements in the page.
func (b *browser) do(statements string) {
	b.Helper()
	value[bool](b, `(() => { `+statements+`; return true; })()`)
}

// await waits until an expression is true.
func (b *browser) await(expression string) {
	b.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if value[bool](b, `Boolean(`+expression+`)`) {
			return
		}
	}
	b.screenshot("failed")
	b.Fatalf("%s is not so after a minute; the page has %q", expression, value[string](b, `document.body.innerText`))
}

func (b *browser) ask(question string) {
	b.Helper()
	b.run(chromedp.SendKeys(chromedp.CSS("#text"), question+"\r"))
}

// screenshot writes what is seen to the folder of LLAMA31_SCREENSHOTS, for people to look at.
func (b *browser) screenshot(name string) {
	b.Helper()
	dir := os.Getenv("LLAMA31_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o666); err != nil {
		b.Error(err)
	}
}

const (
	last = `(document.querySelector('#talk > li:last-child .body') ?? document.createElement('p'))`
	idle = `document.querySelector('#stop').hidden && !document.querySelector('.coming')`
)

// TestTalk asks, sees the text come, stops it, goes on, edits, answers again, and finds it all after a reload.
func TestTalk(t *testing.T) {
	b := open(t, nil, func(i int, r llama.Request) llamatest.Answer {
		switch {
		case i == 0:
			return llamatest.Answer{Text: strings.Repeat("word ", 5000), Every: 20 * time.Millisecond}
		case strings.Contains(r.Messages[len(r.Messages)-1].Content, "fail"):
			return llamatest.Answer{Err: errors.New("the roof is on fire")}
		}
		return llamatest.Answer{Text: fmt.Sprintf("Answer number %d to %s", i, r.Messages[len(r.Messages)-1].Content), Usage: &llama.Usage{Prompt: 30, Generated: 12}}
	})
	b.ask("first question")
	b.await(last + `.textContent.includes('word word word')`)
	before := value[int](b, last+`.textContent.length`)
	b.await(fmt.Sprintf(`%s.textContent.length > %d`, last, before)) // it streams
	b.await(`/^\d+\.\d tokens\/s · \d+ tokens$/.test(document.querySelector('#speed').textContent)`)
	b.await(`/^context \d+ of 8,192$/.test(document.querySelector('#tokens').textContent)`)
	if value[bool](b, idle) || value[int](b, last+`.textContent.length`) >= 25_000 {
		t.Error("the answer came at once")
	}
	b.run(chromedp.KeyEvent("\x1b")) // Esc
	b.await(idle)
	stopped := value[int](b, last+`.textContent.length`)
	if note := value[string](b, `document.querySelector('.note').textContent`); note != "Stopped." || stopped < before {
		t.Errorf("stopped with the note %q after %d characters", note, stopped)
	}
	time.Sleep(300 * time.Millisecond)
	if now := value[int](b, last+`.textContent.length`); now != stopped {
		t.Errorf("%d characters came after the stop", now-stopped)
	}

	if v := value[string](b, `document.querySelector('#text').value`); v != "" {
		t.Errorf("%q is left of the question", v)
	}
	b.ask("second question")
	b.await(last + `.textContent === 'Answer number 1 to second question' && ` + idle)
	b.await(`document.querySelector('#tokens').textContent === 'context 42 of 8,192'`)
	if r := b.model.Requests(); len(r[1].Messages) != 3 || r[1].Messages[2].Content != "second question" || r[1].Sampling == nil {
		t.Errorf("the second request is %+v", r[1])
	}
	b.run(chromedp.Click(chromedp.CSS(`#talk > li:last-child button[aria-label="Answer again"]`)))
	b.await(last + `.textContent.includes('number 2') && ` + idle)
	b.run(chromedp.Click(chromedp.CSS(`#talk > li:nth-child(3) button[aria-label="Edit"]`)), chromedp.SendKeys(chromedp.CSS(".editing"), ", edited\r"))
	b.await(last + `.textContent === 'Answer number 3 to second question, edited' && ` + idle)
	if n := value[int](b, `document.querySelectorAll('#talk > li').length`); n != 4 {
		t.Errorf("%d messages, expected 4", n)
	}

	b.run(chromedp.Click(chromedp.CSS("#tune")), chromedp.SendKeys(chromedp.CSS("#s-system"), "Be brief."),
		chromedp.SendKeys(chromedp.CSS("#s-temperature"), "0.25"), chromedp.SendKeys(chromedp.CSS("#s-top_k"), "7"), chromedp.SendKeys(chromedp.CSS("#s-seed"), "5"),
		chromedp.SendKeys(chromedp.CSS("#s-max_tokens"), "4"), chromedp.KeyEvent("\x1b"))
	b.ask("third")
	b.await(idle + ` && document.querySelectorAll('#talk > li').length === 6`)
	r := b.model.Requests()[4]
	if r.Messages[0].Role != llama.RoleSystem || r.Messages[0].Content != "Be brief." || *r.Sampling.Temperature != 0.25 || r.Sampling.TopK != 7 || *r.Sampling.Seed != 5 || r.MaxTokens != 4 {
		t.Errorf("with settings: %+v %+v", r, r.Sampling)
	}
	b.await(`document.querySelector('#talk > li:last-child .note')?.textContent.includes('limit')`)
	b.ask("fail now")
	b.await(`document.querySelector('.note.failed')?.textContent.includes('the model failed')`)

	b.run(chromedp.Reload())
	b.await(`document.querySelectorAll('#list li').length === 1`)
	b.run(chromedp.Click(chromedp.CSS("#list .open")))
	b.await(`document.querySelectorAll('#talk > li').length === 8`)
	b.run(chromedp.Click(chromedp.CSS(`#list button[aria-label^="Delete"]`)))
	b.await(`document.querySelectorAll('#list li').length === 0 && !document.querySelector('#empty').hidden`)
	b.run(chromedp.Click(chromedp.CSS(`#toast button`)))
	b.await(`document.querySelectorAll('#list li').length === 1 && document.querySelectorAll('#talk > li').length === 8`)
	b.fine()
}

// TestKey is a server that asks for one: so does the page, and sends it. A second tab sees the conversation.
func TestKey(t *testing.T) {
	secret, line := serve.NewKey("someone")
	keys, err := serve.ReadKeys(strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, keys, func(int, llama.Request) llamatest.Answer { return llamatest.Answer{Text: "Welcome."} })
	b.await(`document.querySelector('#settings').open && document.activeElement.id === 's-key'`)
	b.run(chromedp.SendKeys(chromedp.CSS("#s-key"), secret), chromedp.Click(chromedp.CSS("#settings .main")))
	b.await(`document.querySelector('#model').value === 'Llama-3.1-8B-Instruct'`)
	tab, cancel := chromedp.NewContext(b.ctx)
	defer cancel()
	if err := chromedp.Do(tab, chromedp.Navigate(b.url)); err != nil {
		t.Fatal(err)
	}
	b.do(`document.querySelector('#ideas button').click()`) // keys go to the tab in front
	b.await(last + `.textContent === 'Welcome.' && ` + idle)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		n, err := chromedp.Run(tab, chromedp.Evaluate[int](`document.querySelectorAll('#list li').length`))
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the other tab does not see the conversation")
		}
	}
}

// TestModel asks SmolLM2. Where LLAMA31_SCREENSHOTS is the path of docs it draws docs/page.png.
func TestModel(t *testing.T) {
	m, err := llama.Open(t.Context(), testenv.Fetched(t, "smollm2"), &llama.Options{Context: 2048})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b := &browser{T: t}
	b.start(serve.Handler(m, serve.Options{Name: "SmolLM2-135M-Instruct", Fallback: Handler("")}))
	b.await(`document.querySelector('#model').value === 'SmolLM2-135M-Instruct'`)
	b.run(chromedp.EmulateViewport(1100, 640), chromedp.Click(chromedp.CSS("#tune")), chromedp.SendKeys(chromedp.CSS("#s-temperature"), "0"), chromedp.KeyEvent("\x1b"))
	b.ask("What is the capital of France?")
	b.await(last + `.textContent.includes('Paris') && ` + idle)
	b.ask("Write a Python function that says whether a number is even.")
	b.await(`document.querySelectorAll('#talk > li').length === 4 && ` + idle)
	if line := value[string](b, `document.querySelector('.line').textContent.replace(/\s+/g, ' ')`); !regexp.MustCompile(`^[\d.]+ tokens/s · [\d,]+ tokens · first after \d+ ms\s*context [\d,]+ of 2,048\s*$`).MatchString(line) {
		t.Errorf("the line below is %q", line)
	}
	b.screenshot("page")
	b.fine()
}

// fine checks that the console is empty, and that everything came from the server.
func (b *browser) fine() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.problems != nil {
		b.Errorf("the console says %q", b.problems)
	}
}

// hostile is what a model might write that a page must not obey.
const hostile = `<img src=x onerror="window.hacked=1"> <script>window.hacked=2</script> <b>bold?</b>

[click](javascript:window.hacked=3) [click](JaVaScRiPt:window.hacked=4) [data](data:text/html,<script>window.hacked=5</script>) ![pixel](http://tracker.invalid/pixel.png) <javascript:alert(1)>

<iframe src="https://example.invalid"></iframe><svg onload="window.hacked=6"> [x](" onmouseover="window.hacked=7)

` + "```html\n<script>window.hacked=8</script>\n</code></pre><img src=x onerror=window.hacked=9>\n```\n\n`<img src=x onerror=window.hacked=10>`" + `

| <img src=x onerror=window.hacked=11> | b |
|---|---|
| <script>window.hacked=12</script> | [c](vbscript:x) |
`

// TestHostile shows it as text: no element of it exists, no script ran, nothing was loaded.
func TestHostile(t *testing.T) {
	b := open(t, nil, func(i int, r llama.Request) llamatest.Answer {
		if i == 1 { // deep, long and unclosed
			return llamatest.Answer{Text: strings.Repeat("> ", 5000) + strings.Repeat("*a ", 20_000) + strings.Repeat("[", 20_000) + "\n" + strings.Repeat("- ", 3000) + "\n" + strings.Repeat("`a ``b ", 5000) + strings.Repeat("|-", 5000)}
		}
		return llamatest.Answer{Text: hostile}
	})
	b.ask(`<img src=x onerror="window.hacked=20">`)
	b.await(last + `.querySelector('table') !== null && ` + idle)
	time.Sleep(200 * time.Millisecond)
	if v := value[json.RawMessage](b, `window.hacked ?? null`); string(v) != "null" {
		t.Errorf("script %s ran", v)
	}
	if found := value[[]string](b, `[...document.querySelectorAll('#talk :is(img, script, iframe, b, svg:not(.icon svg), [onerror], [onload], [onmouseover])')].map((e) => e.outerHTML)`); len(found) > 0 {
		t.Errorf("elements of the answer: %q", found)
	}
	if links := value[[]string](b, `[...document.querySelectorAll('#talk a')].map((a) => a.href)`); len(links) != 2 || links[0] != "http://tracker.invalid/pixel.png" || links[1] != "https://example.invalid/" {
		t.Errorf("links: %q", links)
	}
	text := value[string](b, `document.querySelector('#talk').innerText`)
	for _, s := range []string{`<img src=x onerror="window.hacked=20">`, `<img src=x onerror="window.hacked=1">`, `<script>window.hacked=2</script>`, `<iframe src="https://example.invalid">`, `<script>window.hacked=8</script>`, `<img src=x onerror=window.hacked=11>`, `<script>window.hacked=12</script>`, "javascript:window.hacked=3"} {
		if !strings.Contains(text, s) {
			t.Errorf("%s is not to be read in %q", s, text)
		}
	}
	// Should a hole be found one day: the policy takes no HTML from strings, and runs no script of the document.
	for _, try := range []string{`document.body.innerHTML = '<img src=x onerror="window.hacked=30">'`, `document.body.insertAdjacentHTML('beforeend', '<p>')`, `document.body.setAttribute("onclick", "window.hacked=31")`,
		`(() => { const s = document.createElement('script'); s.text = 'window.hacked=32'; document.body.append(s); })()`} {
		if value[bool](b, `(() => { try { `+try+`; return true } catch { return false } })()`) {
			t.Errorf("%s is allowed", try)
		}
	}
	b.do(`const i = document.createElement('img'); i.id = 'probe'; i.onload = () => { window.hacked = 33; }; i.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA='; document.body.append(i)`)
	time.Sleep(200 * time.Millisecond)
	if v := value[json.RawMessage](b, `window.hacked ?? null`); string(v) != "null" {
		t.Errorf("script %s ran", v)
	}
	b.do(`document.querySelector('#probe').remove()`)
	b.ask("more")
	b.await(`document.querySelectorAll('#talk > li').length === 4 && ` + idle)
}

// markdown is what a model writes on a good day.
const markdown = "Recursion is when something is defined **in terms of itself**. A function that calls *itself* is recursive, like a pair of mirrors; see [the article](https://en.wikipedia.org/wiki/Recursion_(computer_science)).\n\n" +
	"### In Go\n\n```go\n// Factorial multiplies the numbers from 1 to n.\nfunc Factorial(n int) int {\n\tif n <= 1 {\n\t\treturn 1 // the base case\n\t}\n\treturn n * Factorial(n-1)\n}\n```\n\n" +
	"Two things matter:\n\n1. a **base case**, which ends it\n2. a step that comes nearer to it\n   - `n-1` here\n   - half of a list, in a binary search\n\n> To understand recursion, you must first understand recursion.\n\n" +
	"| n | Factorial(n) | calls |\n|--:|--:|:-:|\n| 1 | 1 | 1 |\n| 5 | 120 | 5 |\n| 10 | 3,628,800 | 10 |\n"

// TestMarkdown looks at the elements that Markdown becomes, at two widths, in light and dark.
func TestMarkdown(t *testing.T) {
	b := open(t, nil, func(i int, r llama.Request) llamatest.Answer {
		if i == 1 {
			return llamatest.Answer{Text: "The sky is blue because air scatters short waves of light more than long ones. This is called Rayleigh scattering, after Lord Rayleigh, who", Every: 25 * time.Millisecond, Usage: &llama.Usage{Prompt: 300, Generated: 40}}
		}
		var tokens []string
		for rest := markdown; rest != ""; {
			n := min(len(rest), 4)
			tokens = append(tokens, rest[:n])
			rest = rest[n:]
		}
		return llamatest.Answer{Tokens: tokens, Every: time.Millisecond, Usage: &llama.Usage{Prompt: 42, Generated: 301}}
	})
	size := func(width, height int64, mobile bool) {
		var o []chromedp.EmulateViewportOption
		if mobile {
			o = append(o, chromedp.EmulateMobile)
		}
		b.run(chromedp.EmulateViewport(width, height, o...))
	}
	colours := func(scheme string) {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	colours("light")
	b.screenshot("empty-wide-light")
	b.ask("Explain recursion to a child.")
	b.await(`document.querySelector('#talk table tbody tr:nth-child(3)') !== null && ` + idle)
	for selector, want := range map[string]string{
		"h5": "In Go", "strong": "in terms of itself", "em": "itself", "ol > li:nth-child(2) > ul > li:nth-child(2)": "half of a list, in a binary search", "blockquote": "To understand recursion, you must first understand recursion.",
		".code .head span": "go", "td.right": "1", "td.center": "1", "li code": "n-1", "tbody tr:nth-child(3) td:nth-child(2)": "3,628,800",
	} {
		if got := value[string](b, fmt.Sprintf(`document.querySelector('#talk .assistant .body %s')?.textContent ?? 'none'`, selector)); got != want {
			t.Errorf("%s is %q, expected %q", selector, got, want)
		}
	}
	if code := value[string](b, `document.querySelector('.code code').textContent`); !strings.Contains(code, "\n\tif n <= 1 {\n") {
		t.Errorf("code: %q", code)
	}
	if href := value[string](b, `document.querySelector('#talk a').href`); href != "https://en.wikipedia.org/wiki/Recursion_(computer_science)" {
		t.Errorf("link: %s", href)
	}
	for _, scheme := range []string{"light", "dark"} {
		colours(scheme)
		for _, s := range []struct {
			name          string
			width, height int64
		}{{"wide", 1400, 900}, {"narrow", 390, 844}} {
			size(s.width, s.height, s.name == "narrow")
			time.Sleep(300 * time.Millisecond)
			if over := value[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
				t.Errorf("%s: %d pixels too wide", s.name, over)
			}
			b.do(`document.querySelector('#scroll').scrollTop = 0`)
			b.screenshot("top-" + s.name + "-" + scheme)
			b.do(`document.querySelector('#scroll').scrollTop = 1e6`)
			time.Sleep(100 * time.Millisecond)
			b.screenshot("end-" + s.name + "-" + scheme)
			if s.name == "narrow" {
				if small := value[[]string](b, `[...document.querySelectorAll('button')].filter((e) => e.offsetParent && e.closest('main > header, #ask')).filter((e) => e.offsetWidth < 36 || e.offsetHeight < 36).map((e) => e.id)`); len(small) > 0 {
					t.Errorf("too small for a thumb: %q", small)
				}
				b.run(chromedp.Click(chromedp.CSS("#menu")))
				time.Sleep(400 * time.Millisecond)
				b.screenshot("drawer-" + scheme)
				b.run(chromedp.KeyEvent("\x1b"))
				time.Sleep(300 * time.Millisecond)
			}
			b.run(chromedp.Click(chromedp.CSS("#tune")))
			time.Sleep(200 * time.Millisecond)
			b.screenshot("settings-" + s.name + "-" + scheme)
			b.run(chromedp.KeyEvent("\x1b"))
		}
	}
	if unnamed := value[[]string](b, `[...document.querySelectorAll('button, input, select, textarea')].filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)`); len(unnamed) > 0 {
		t.Errorf("without a name: %q", unnamed)
	}
	b.ask("Why is the sky blue?")
	b.await(last + `.textContent.includes('scattering')`)
	b.screenshot("coming")
	b.await(idle)
	b.fine()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.asked {
		if p != "/" && p != "/v1/models" && p != "/tokenize" && p != "/v1/chat/completions" && !strings.HasSuffix(p, ".js") && !strings.HasSuffix(p, ".css") && !strings.HasSuffix(p, ".svg") {
			t.Errorf("the page asked for %s", p)
		}
	}
}

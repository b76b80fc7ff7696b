package bench

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// peerFlags are llama-bench's arguments for a prompt and for generation; nil where there is no peer, or where it has no such test.
// ik_llama.cpp's generates at a depth, but runs no prompts at one.
func (s Speed) peerFlags(ctx context.Context) (flags [2][]string, err error) {
	if s.Peer == "" {
		return flags, nil
	}
	n := fmt.Sprint(s.Generate)
	flags = [2][]string{{"-p", fmt.Sprint(s.Prompt), "-n", "0"}, {"-p", "0", "-n", n}}
	if s.Depth > 0 {
		help, err := exec.CommandContext(ctx, s.Peer, "-h").CombinedOutput()
		depth := fmt.Sprint(s.Depth)
		switch {
		case bytes.Contains(help, []byte("--n-depth")):
			flags[0], flags[1] = append(flags[0], "-d", depth), append(flags[1], "-d", depth)
		case bytes.Contains(help, []byte("-gp ")):
			flags = [2][]string{nil, {"-p", "0", "-n", "0", "-gp", depth + "," + n}}
		default:
			return flags, fmt.Errorf("%s -h: expected an option -d or -gp for a depth of %d: %w", s.Peer, s.Depth, cmp.Or(err, errors.ErrUnsupported))
		}
	}
	for i := range flags {
		if flags[i] != nil {
			flags[i] = append(flags[i], s.PeerFlags...)
		}
	}
	return flags, nil
}

// runPeer runs llama.cpp's llama-bench once and gives its tokens per second. It
// warms up by itself.
func runPeer(ctx context.Context, program, model string, threads int, test []string) (float64, error) {
	args := append([]string{"-m", model, "-t", fmt.Sprint(threads), "-r", "1", "-o", "json"}, test...)
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		if last := lines[len(lines)-1]; last != "" {
			return 0, fmt.Errorf("%s: %w: %s", program, err, last)
		}
		return 0, fmt.Errorf("%s: %w", program, err)
	}
	var results []struct {
		AvgTS float64 `json:"avg_ts"`
	}
	if err := json.Unmarshal(out, &results); err != nil || len(results) != 1 || !(results[0].AvgTS > 0) {
		return 0, fmt.Errorf("%s: expected the JSON of one test, found %.100q", program, out)
	}
	return results[0].AvgTS, nil
}

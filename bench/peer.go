package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

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

// Package bench has the workloads that measure a model: speed of prompts and of
// generation, and perplexity. Each is a struct with a Run method, over the
// public API only; the commands below this folder parse flags and call them.
package bench

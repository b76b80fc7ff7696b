package serve

import (
	"math"
	"net/http"
	"time"

	"github.com/llama31/llama31/llama"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics has vLLM's names (docs.vllm.ai, "Production Metrics") where the meaning is the same, so that its dashboards and Kubernetes'
// gateway inference extension read them; what vLLM does not count begins with llama31.
type metrics struct {
	handler http.Handler

	first, between, perToken, whole, queued, prefill, decode *prometheus.HistogramVec // seconds
	promptTokens, generatedTokens, maxTokens, choices        *prometheus.HistogramVec
	finished, refused                                        *prometheus.CounterVec
	streams                                                  prometheus.Gauge
}

func newMetrics(all *models, registry *prometheus.Registry) *metrics {
	if registry == nil {
		registry = prometheus.NewRegistry()
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	label := []string{"model_name"}
	histogram := func(name, help string, buckets ...float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "vllm:" + name, Help: help, Buckets: buckets}, label)
	}
	seconds := []float64{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920}
	brief := []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	between := []float64{0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	tokens := prometheus.ExponentialBucketsRange(1, math.Exp2(17), 18)
	m := &metrics{
		first:           histogram("time_to_first_token_seconds", "From a request's arrival to its first token.", brief...),
		between:         histogram("inter_token_latency_seconds", "Mean time between the tokens of a request.", between...),
		perToken:        histogram("request_time_per_output_token_seconds", "Mean time per token of a request after the first.", between...),
		whole:           histogram("e2e_request_latency_seconds", "From a request's arrival to its last token.", seconds...),
		queued:          histogram("request_queue_time_seconds", "Before a request's first step.", seconds...),
		prefill:         histogram("request_prefill_time_seconds", "From a request's first step to its first token.", seconds...),
		decode:          histogram("request_decode_time_seconds", "From a request's first token to its last.", seconds...),
		promptTokens:    histogram("request_prompt_tokens", "Tokens of a request's prompt.", tokens...),
		generatedTokens: histogram("request_generation_tokens", "Tokens generated for a request.", tokens...),
		maxTokens:       histogram("request_params_max_tokens", "A request's max_tokens.", tokens...),
		choices:         histogram("request_params_n", "A request's n.", 1, 2, 5, 10, 20),
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "vllm:request_success_total", Help: "Answers that ended well, by why they ended."},
			[]string{"model_name", "finished_reason"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "llama31:request_failures_total", Help: "Requests that failed or were refused, by the error's code."},
			[]string{"code"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "llama31:streams", Help: "Streams that are open."}),
	}
	registry.MustRegister(m.first, m.between, m.perToken, m.whole, m.queued, m.prefill, m.decode, m.promptTokens, m.generatedTokens, m.maxTokens,
		m.choices, m.finished, m.refused, m.streams, newEngines(all))
	for _, one := range all.list {
		for _, reason := range []string{"stop", "length", "abort", "tool_calls"} {
			m.finished.WithLabelValues(one.name, reason)
		}
	}
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

// answered takes note of a request's end.
func (m *metrics) answered(name string, q *llama.Request, r *llama.Response, took time.Duration, err error) {
	if q.MaxTokens > 0 {
		m.maxTokens.WithLabelValues(name).Observe(float64(q.MaxTokens))
	}
	m.choices.WithLabelValues(name).Observe(float64(max(1, q.N)))
	if err != nil {
		if failureOf(err).status == statusGone {
			m.finished.WithLabelValues(name, "abort").Inc()
		}
		return
	}
	t, u := r.Timings, r.Usage
	observe := func(h *prometheus.HistogramVec, d time.Duration) { h.WithLabelValues(name).Observe(d.Seconds()) }
	observe(m.whole, took)
	observe(m.queued, t.Queued)
	observe(m.prefill, t.Prompt)
	observe(m.decode, t.Generate)
	observe(m.first, t.Queued+t.Prompt)
	if n := u.Generated / len(r.Choices); n > 1 {
		observe(m.between, t.Generate/time.Duration(n-1))
		observe(m.perToken, t.Generate/time.Duration(n-1))
	}
	m.promptTokens.WithLabelValues(name).Observe(float64(u.Prompt))
	m.generatedTokens.WithLabelValues(name).Observe(float64(u.Generated))
	for _, c := range r.Choices {
		m.finished.WithLabelValues(name, string(c.Finish)).Inc()
	}
}

// engines reads the models' counters when somebody asks for them.
type engines struct {
	models  []*model
	metrics []engineMetric
	config  *prometheus.Desc
}

type engineMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*llama.Stats) float64
}

func newEngines(all *models) *engines {
	e := &engines{}
	for _, m := range all.list {
		if m.local != nil {
			e.models = append(e.models, m)
		}
	}
	add := func(name, help string, kind prometheus.ValueType, of func(*llama.Stats) float64) {
		e.metrics = append(e.metrics, engineMetric{prometheus.NewDesc(name, help, []string{"model_name"}, nil), kind, of})
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	add("vllm:num_requests_running", "Sequences that run.", gauge, func(s *llama.Stats) float64 { return float64(s.Running) })
	add("vllm:num_requests_waiting", "Sequences that wait.", gauge, func(s *llama.Stats) float64 { return float64(s.Waiting) })
	add("vllm:kv_cache_usage_perc", "Share of the KV cache in use, 1 being all.", gauge, func(s *llama.Stats) float64 {
		return 1 - float64(s.PagesAvailable)/float64(max(1, s.Pages))
	})
	add("vllm:num_preemptions_total", "Sequences sent back to the queue.", counter, func(s *llama.Stats) float64 { return float64(s.Preempted) })
	add("vllm:prompt_tokens_total", "Tokens of prompts that ran.", counter, func(s *llama.Stats) float64 { return float64(s.PromptTokens) })
	add("vllm:generation_tokens_total", "Tokens generated.", counter, func(s *llama.Stats) float64 { return float64(s.GeneratedTokens) })
	add("vllm:prefix_cache_queries_total", "Tokens of prompts.", counter, func(s *llama.Stats) float64 { return float64(s.PromptTokens + s.CachedTokens) })
	add("vllm:prefix_cache_hits_total", "Tokens of prompts found in the KV cache.", counter, func(s *llama.Stats) float64 { return float64(s.CachedTokens) })
	add("vllm:spec_decode_num_draft_tokens_total", "Tokens guessed by speculation.", counter, func(s *llama.Stats) float64 { return float64(s.DraftedTokens) })
	add("vllm:spec_decode_num_accepted_tokens_total", "Of these, the ones that were right.", counter, func(s *llama.Stats) float64 { return float64(s.AcceptedTokens) })
	add("llama31:steps_total", "Passes over the weights.", counter, func(s *llama.Stats) float64 { return float64(s.Steps) })
	e.config = prometheus.NewDesc("vllm:cache_config_info", "The KV cache: positions per block, and blocks.", []string{"model_name", "block_size", "num_gpu_blocks"}, nil)
	return e
}

func (e *engines) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range e.metrics {
		ch <- m.desc
	}
	ch <- e.config
}

func (e *engines) Collect(ch chan<- prometheus.Metric) {
	for _, m := range e.models {
		s := m.local.Stats()
		for _, x := range e.metrics {
			ch <- prometheus.MustNewConstMetric(x.desc, x.kind, x.of(&s), m.name)
		}
		ch <- prometheus.MustNewConstMetric(e.config, prometheus.GaugeValue, 1, m.name, "32", itoa(s.Pages))
	}
}

package serve

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// newTracer makes spans by OpenTelemetry's conventions for generative AI. Without a provider there are none, but a request's
// traceparent is in the log still.
func newTracer(p trace.TracerProvider) trace.Tracer {
	if p == nil {
		p = noop.NewTracerProvider()
	}
	return p.Tracer("github.com/llama31/llama31/llama/serve")
}

func (c *call) startSpan() {
	ctx := propagation.TraceContext{}.Extract(c.r.Context(), propagation.HeaderCarrier(c.r.Header))
	ctx, c.span = c.s.tracer.Start(ctx, c.r.Method, trace.WithSpanKind(trace.SpanKindServer))
	c.r = c.r.WithContext(ctx)
}

func (c *call) endSpan(status int) {
	c.span.SetName(c.route)
	c.span.SetAttributes(attribute.String("http.request.method", c.r.Method), attribute.String("http.route", c.route), attribute.Int("http.response.status_code", status))
	if c.model != "" {
		c.span.SetAttributes(attribute.String("gen_ai.provider.name", "llama31"), attribute.String("gen_ai.request.model", c.model),
			attribute.Int("gen_ai.usage.input_tokens", c.prompt), attribute.Int("gen_ai.usage.output_tokens", c.generated))
	}
	if c.finish != "" {
		c.span.SetAttributes(attribute.StringSlice("gen_ai.response.finish_reasons", []string{c.finish}))
	}
	if status >= http.StatusInternalServerError {
		c.span.SetStatus(codes.Error, http.StatusText(status))
	}
	c.span.End()
}

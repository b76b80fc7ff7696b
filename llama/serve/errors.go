package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/llama31/llama31/llama"
)

// failure is an error as clients get it.
type failure struct {
	status  int
	kind    string // OpenAI's type
	code    string
	param   string // the field that is wrong, "" for none
	message string
	after   time.Duration // when to try again; 0: says nothing
	cause   error         // for the log
}

func (f *failure) Error() string { return f.message }
func (f *failure) Unwrap() error { return f.cause }

// statusGone is what logs have for a client that went away; nobody gets it.
const statusGone = 499

var errTimeout = errors.New("the request took longer than the server's limit")

// invalid is a request whose field is wrong.
func invalid(param, code, format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, kind: "invalid_request_error", code: code, param: param, message: fmt.Sprintf(format, args...)}
}

// unsupported is a field that asks for what is not done here.
func unsupported(param, format string, args ...any) *failure {
	return invalid(param, "unsupported_parameter", format, args...)
}

// failureOf says how an error looks to a client.
func failureOf(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	f = &failure{status: http.StatusBadRequest, kind: "invalid_request_error", message: strings.TrimPrefix(err.Error(), "llama: "), cause: err}
	switch {
	case errors.Is(err, llama.ErrContextLength):
		f.code = "context_length_exceeded"
	case errors.Is(err, llama.ErrRequest), errors.Is(err, llama.ErrTemplate):
		f.code = "invalid_value"
	case errors.Is(err, llama.ErrUnsupported):
		f.code = "unsupported_value"
	case errors.Is(err, llama.ErrBusy):
		f.status, f.kind, f.code, f.after = http.StatusTooManyRequests, "rate_limit_error", "server_busy", time.Second
	case errors.Is(err, llama.ErrClosed):
		f.status, f.kind, f.code, f.after = http.StatusServiceUnavailable, "service_unavailable", "model_closed", 5*time.Second
	case errors.Is(err, errTimeout):
		f.status, f.kind, f.code = http.StatusGatewayTimeout, "timeout_error", "timeout"
	case errors.Is(err, context.Canceled):
		f.status, f.kind, f.code = statusGone, "client_error", "client_gone"
	default:
		f.status, f.kind, f.code, f.message = http.StatusInternalServerError, "server_error", "internal_error", "the model failed; the server's log says why"
	}
	return f
}

// openai is the body of OpenAI's errors; param and code are null where there is none.
func (f *failure) openai() map[string]any {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	return map[string]any{"error": map[string]any{"message": f.message, "type": f.kind, "param": orNull(f.param), "code": orNull(f.code)}}
}

// anthropic is the body of Anthropic's errors.
func (f *failure) anthropic(request string) map[string]any {
	kind := "invalid_request_error"
	switch {
	case f.status == http.StatusUnauthorized:
		kind = "authentication_error"
	case f.status == http.StatusForbidden:
		kind = "permission_error"
	case f.status == http.StatusNotFound:
		kind = "not_found_error"
	case f.status == http.StatusRequestEntityTooLarge:
		kind = "request_too_large"
	case f.status == http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case f.status == http.StatusServiceUnavailable:
		kind = "overloaded_error"
	case f.status == http.StatusGatewayTimeout:
		kind = "timeout_error"
	case f.status >= 500:
		kind = "api_error"
	}
	message := f.message
	if f.param != "" {
		message = f.param + ": " + message
	}
	return map[string]any{"type": "error", "error": map[string]any{"type": kind, "message": message}, "request_id": request}
}

// retryAfter is the header's value, in whole seconds.
func (f *failure) retryAfter() string {
	return strconv.Itoa(int(max(1, math.Ceil(f.after.Seconds()))))
}

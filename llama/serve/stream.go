package serve

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// stream sends server-sent events (WHATWG HTML, 9.2). It begins with the first of them, so that until then there may be an error in place
// of it.
type stream struct {
	c    *call
	beat []byte // what a heartbeat is

	mu    sync.Mutex
	timer *time.Timer
	ended bool
	err   error // of the connection
}

func (c *call) stream(beat string) *stream {
	s := &stream{c: c, beat: []byte(beat)}
	s.mu.Lock()
	s.timer = time.AfterFunc(c.s.heartbeat, s.tick)
	s.mu.Unlock()
	c.s.metrics.streams.Inc()
	return s
}

// begun reports whether anything went out, a heartbeat say: an error can be no status any more.
func (s *stream) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c.w.status != 0
}

// close ends the heartbeats.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.timer.Stop()
	s.c.s.metrics.streams.Dec()
}

func (s *stream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && s.err == nil {
		s.write(s.beat)
	}
}

// send sends an event with JSON in it. Its error is that of a client who is gone, or too slow.
func (s *stream) send(event string, v any) error {
	data, err := marshal(v)
	if err != nil {
		return err
	}
	var b []byte
	if event != "" {
		b = append(b, "event: "+event+"\n"...)
	}
	b = append(append(append(b, "data: "...), data...), '\n') // data ends in a newline
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(b)
}

// done is how OpenAI's streams end.
func (s *stream) done() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write([]byte("data: [DONE]\n\n"))
}

func (s *stream) write(b []byte) error {
	if s.err != nil {
		return s.err
	}
	if s.c.w.status == 0 {
		h := s.c.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // nginx
	}
	if _, s.err = s.c.w.Write(b); s.err == nil {
		if err := http.NewResponseController(s.c.w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			s.err = err
		}
	}
	if s.err != nil {
		s.err = &failure{status: statusGone, kind: "client_error", code: "client_gone", message: s.err.Error(), cause: s.err}
	}
	s.timer.Reset(s.c.s.heartbeat)
	return s.err
}

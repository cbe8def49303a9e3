package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"glaux/internal/access"
	"glaux/internal/ident"
	"glaux/internal/ui"
)

// The parts that readiness tells of.
const (
	partObjects = "objects" // the object store and the bucket of results
)

// readiness says which parts of the server answer. A part that is not listed
// is not waited for.
type readiness struct {
	mu    sync.Mutex
	parts map[string]string // guarded by mu; "" is ready, else why not
	moved chan struct{}     // guarded by mu; closed and replaced by every set
}

// starting is what a part is until it is set for the first time.
const starting = "starting"

func newReadiness(parts ...string) *readiness {
	r := &readiness{parts: map[string]string{}, moved: make(chan struct{})}
	for _, p := range parts {
		r.parts[p] = starting
	}
	return r
}

// set says why a part is not ready; "" says that it is.
func (r *readiness) set(part, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts[part] = why
	close(r.moved)
	r.moved = make(chan struct{})
}

// await returns once the part has been set, or after limit, or when ctx ends.
func (r *readiness) await(ctx context.Context, part string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		r.mu.Lock()
		waits, moved := r.parts[part] == starting, r.moved
		r.mu.Unlock()
		if !waits {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// report returns every part with "ok" or the reason, and whether all are ready.
func (r *readiness) report() (map[string]string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all, out := true, make(map[string]string, len(r.parts))
	for p, why := range r.parts {
		if why == "" {
			why = "ok"
		} else {
			all = false
		}
		out[p] = why
	}
	return out, all
}

// pages serves what is ours below /_glaux/.
func (s *Server) pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_glaux/health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "version": Version()})
	})
	mux.HandleFunc("GET /_glaux/ready", func(w http.ResponseWriter, _ *http.Request) {
		parts, all := s.ready.report()
		status := http.StatusOK
		if !all {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, map[string]any{"ready": all, "parts": parts})
	})
	mux.Handle("GET "+access.CredentialsPath, s.parts.own)
	mux.Handle("GET "+systemLogPath, s.parts.systemLogs())
	mux.Handle(ui.OutputPath, ui.Output(s.parts.calcs, s.parts.authority, s.log))
	return mux
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer has gone: nothing to do
}

// ownHost reports whether a Host header can be meant for our pages. A page of
// a foreign site that lets its name point here (DNS rebinding) sends that
// name; addresses and localhost cannot be rebound.
func ownHost(header, listen string, names ...string) bool {
	host := header
	if h, _, err := net.SplitHostPort(header); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host) != nil {
		return true
	}
	if slices.Contains(names, host) {
		return true
	}
	own, _, err := net.SplitHostPort(listen)
	return err == nil && own != "" && strings.EqualFold(host, own)
}

// recorded serves one of our own pages and logs its record, as every other
// request has one.
func (s *Server) recorded(h http.Handler, w http.ResponseWriter, r *http.Request) {
	ctx, began, id := r.Context(), time.Now(), ident.NewID()
	page := &pageWriter{ResponseWriter: w, status: http.StatusOK}
	w.Header()["x-amzn-RequestId"] = []string{id}
	if r.ContentLength != 0 { // no page reads a body; net/http does before it replies, but not for ever
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
	}
	defer func() { // also when the page is cut off
		level := slog.LevelInfo
		if r.URL.Path == "/_glaux/health" || r.URL.Path == "/_glaux/ready" {
			level = slog.LevelDebug // somebody asks every second
		}
		s.log.LogAttrs(ctx, level, "page request", slog.String("request", id), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.String("remote", r.RemoteAddr), slog.Int("status", page.status),
			slog.Duration("duration", time.Since(began)), slog.Int64("out", page.bytes))
	}()
	h.ServeHTTP(page, r)
}

// pageWriter remembers what was replied.
type pageWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (p *pageWriter) WriteHeader(status int) {
	p.status = status
	p.ResponseWriter.WriteHeader(status)
}

func (p *pageWriter) Write(b []byte) (int, error) {
	n, err := p.ResponseWriter.Write(b)
	p.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController flush the connection.
func (p *pageWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"glaux/internal/engine"
	"glaux/internal/engine/history"
	"glaux/internal/engine/local"
	"glaux/internal/install"
	"glaux/internal/sandbox"
	"glaux/internal/session"
	"glaux/internal/ui"
)

// wireHistory makes what shows the Spark UIs of sessions that are over.
func (p *parts) wireHistory() {
	s := p.s
	uid := 0
	if sandbox.Supported() {
		uid = s.cfg.SessionUIDs + local.UIDSpan // the first one after those of sessions
	}
	p.history = history.New(history.Config{
		Program: func(heap int, temp string) (history.Program, error) {
			rt, err := install.Load(s.cfg.RuntimeDir)
			if err != nil {
				return history.Program{}, err
			}
			argv := rt.History(heap, temp)
			return history.Program{Argv: argv, Env: rt.Env(), Needs: append(sandbox.Prefix(argv[0]), rt.Dir)}, nil
		},
		Logs: s.place.history(), Work: filepath.Join(s.place.data, "history-server"), Shim: s.cfg.Shim, UID: uid,
		HeapMiB: s.cfg.History.Heap, Idle: s.cfg.History.Idle, Retention: s.cfg.History.Retention, MaxBytes: s.cfg.History.MaxBytes,
		Ended: func(ctx context.Context, key engine.Key) (time.Time, error) {
			if p.pool != nil && p.pool.Has(key) {
				return time.Time{}, nil // it waits for its session
			}
			row, err := p.sessions.Session(ctx, key)
			if errors.Is(err, session.ErrNotFound) {
				return time.Unix(0, 0), nil
			}
			return row.EndedAt, err
		},
		Log: s.log,
	})
}

// wireDashboards makes the Spark UIs of sessions reachable.
func (p *parts) wireDashboards() error {
	hosts, err := ui.ParseHosts(p.s.uiURL())
	if err != nil {
		return err
	}
	p.dashboards = ui.New(ui.Config{
		Hosts: hosts, Visits: p.authority.Visits(p.db, p.s.cfg.UI.Visit), Sessions: p.sessions, History: p.history,
		Log: p.s.log, Observe: p.s.meter.observeUI,
	})
	return nil
}

// uiURL is where browsers reach the Spark UIs.
func (s *Server) uiURL() string {
	if s.cfg.UI.URL != "" {
		return s.cfg.UI.URL
	}
	scheme, address, _ := strings.Cut(s.base, "://")
	_, port, err := net.SplitHostPort(address)
	if err != nil { // a server that only ends sessions listens nowhere
		return "http://" + uiName
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(uiName, port))
}

// uiName is the name below which UIs are unless one is configured. Browsers
// resolve it by themselves.
const uiName = "ui.localhost"

// observeUI counts an answered request for a session's UI.
func (m *meter) observeUI(from string, status int) {
	m.ui.WithLabelValues(from, strconv.Itoa(status)).Inc()
}

// watchHistory shows whether the process for the UIs of ended sessions runs.
func (m *meter) watchHistory(h *history.Server) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "glaux_history_running", Help: "1 while the process that shows the Spark UIs of ended sessions runs.",
		}, func() float64 {
			if up, _ := h.Running(); up {
				return 1
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "glaux_history_starts_total", Help: "How often that process was started.",
		}, func() float64 { _, n := h.Running(); return float64(n) }))
}

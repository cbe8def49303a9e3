package server

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	"glaux/internal/session"
	"glaux/internal/ui"
)

// wireDashboards makes the Spark UIs of sessions reachable.
func (p *parts) wireDashboards() error {
	hosts, err := ui.ParseHosts(p.s.uiURL())
	if err != nil {
		return err
	}
	p.dashboards = ui.New(ui.Config{
		Hosts: hosts, Visits: p.authority.Visits(p.db, p.s.cfg.UI.Visit), Sessions: p.sessions, History: noHistory{},
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

// noHistory keeps nothing.
type noHistory struct{}

// Open finds nothing.
func (noHistory) Open(context.Context, session.Key) (ui.Place, func(), error) {
	return ui.Place{}, nil, ui.ErrNoHistory
}

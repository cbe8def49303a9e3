package server

import (
	"time"

	"glaux/internal/ui"
)

// UI is how browsers see the Spark UIs of sessions.
type UI struct {
	// URL is where browsers reach them: scheme, name and port, behind a load
	// balancer its own. Each session's UI has a host of its own, its key in
	// front of this name. Empty: ui.localhost, which browsers resolve by
	// themselves, at Listen's port.
	URL string `name:"url" help:"URL of the Spark UIs; sessions' keys are put in front of its host (default: ui.localhost at --listen's port)." placeholder:"URL" yaml:"url"`
	// Visit is how long a browser may look at a session's UI after it came
	// with the link of GetResourceDashboard: 1 minute to 30 days.
	Visit time.Duration `help:"How long a browser may look at a session's Spark UI before it needs a new link." default:"8h" yaml:"visit"`
}

// check reports the faults of the UI's settings.
func (u *UI) check(bad func(string, ...any), lasts func(string, time.Duration, time.Duration, time.Duration)) {
	lasts("ui-visit", u.Visit, time.Minute, 30*24*time.Hour)
	if u.URL != "" {
		if _, err := ui.ParseHosts(u.URL); err != nil {
			bad("%w", err)
		}
	}
}

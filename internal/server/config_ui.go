package server

import (
	"cmp"
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

// History is what is kept of the Spark UIs of sessions that are over, and how
// it is shown.
type History struct {
	// Retention is how long Spark's event logs are kept after the end of their
	// session: 1 hour to 10 years.
	Retention time.Duration `help:"How long Spark's event logs of ended sessions are kept." default:"720h" yaml:"retention"`
	// MaxBytes bounds the event logs of ended sessions together; the oldest go
	// first. One session, also while it runs, may have half of it at most, and
	// 512 MiB. From 64 MiB.
	MaxBytes int64 `help:"Bytes that Spark's event logs of ended sessions may take on the disk; the oldest go first." default:"4294967296" yaml:"max-bytes"`
	// Heap bounds the memory of the process that shows them, MiB: 128 to 1 TiB.
	Heap int `help:"JVM heap of the process that shows the Spark UIs of ended sessions, MiB." default:"512" yaml:"heap"`
	// Idle is how long nobody looks before that process ends: 1 second to 24 hours.
	Idle time.Duration `help:"How long nobody looks at the Spark UI of an ended session before the process that shows it ends." default:"10m" yaml:"idle"`
}

// fill puts the defaults where nothing is said.
func (u *UI) fill() { u.Visit = cmp.Or(u.Visit, 8*time.Hour) }

func (h *History) fill() {
	h.Retention = cmp.Or(h.Retention, 30*24*time.Hour)
	h.MaxBytes = cmp.Or(h.MaxBytes, 4<<30)
	h.Heap = cmp.Or(h.Heap, 512)
	h.Idle = cmp.Or(h.Idle, 10*time.Minute)
}

// checkUI reports the faults of the settings of UIs and of what is kept of them.
func (c *Config) checkUI(bad func(string, ...any), within func(string, int64, int64, int64), lasts func(string, time.Duration, time.Duration, time.Duration)) {
	lasts("ui-visit", c.UI.Visit, time.Minute, 30*24*time.Hour)
	lasts("history-retention", c.History.Retention, time.Hour, 10*365*24*time.Hour)
	within("history-max-bytes", c.History.MaxBytes, 64<<20, 1<<50)
	within("history-heap", int64(c.History.Heap), 128, 1<<20)
	lasts("history-idle", c.History.Idle, time.Second, 24*time.Hour)
	if c.UI.URL == "" {
		return
	}
	hosts, err := ui.ParseHosts(c.UI.URL)
	if err != nil {
		bad("%w", err)
		return
	}
	// Whatever stands below the name is a UI, so nothing else may.
	for _, name := range append([]string{"localhost", "127.0.0.1", c.Listen}, c.S3.Hosts...) {
		if _, taken := hosts.Match(name); taken {
			bad("cannot use ui-url %q: %s, which is for the API and S3, is its name or stands below it", c.UI.URL, name)
			return
		}
	}
}

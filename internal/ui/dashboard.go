package ui

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/engine/history"
	"glaux/internal/session"
)

// enterPath is where a ticket is exchanged for a visit. Spark serves nothing
// below /_glaux/.
const enterPath = "/_glaux/enter"

// Sessions finds sessions and their drivers; session.Manager has it.
type Sessions interface {
	// Session returns the session of the key, or session.ErrNotFound.
	Session(ctx context.Context, key session.Key) (session.Session, error)
	// Driver returns the driver of a session, or engine.ErrGone.
	Driver(ctx context.Context, key session.Key) (engine.Driver, error)
}

// History shows the Spark UIs of sessions that are over; history.Server has it.
type History interface {
	// Open makes the UI of an ended session reachable, which may take seconds.
	// It stays while somebody uses it: done must be called. The error is
	// history.ErrNone when nothing is kept of the session.
	Open(ctx context.Context, key session.Key) (at history.Place, done func(), err error)
}

// Config is what Dashboards stand on. All fields are required.
type Config struct {
	Hosts    Hosts
	Visits   *access.Visits
	Sessions Sessions
	History  History
	Log      *slog.Logger
	// Observe is told of every request that was answered: from "live" or
	// "history", or "own" for a page of our own. It must not block.
	Observe func(from string, status int)
}

// Dashboards are the Spark UIs of sessions, each on a host of its own: live
// while a session runs, from its event log afterwards, under the same paths.
// They are read only. A browser comes with a ticket, which URL gives away, and
// gets a cookie for it that is good for this session alone.
type Dashboards struct {
	cfg   Config
	pages pages
	live  *http.Transport // its addresses are keys of sessions
	past  *http.Transport
}

// New makes Dashboards. Close releases their connections.
func New(cfg Config) *Dashboards {
	d := &Dashboards{cfg: cfg, pages: newPages()}
	d.live = transport()
	d.live.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
		key, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		driver, err := cfg.Sessions.Driver(ctx, session.Key(key))
		if err != nil {
			return nil, err
		}
		return driver.Dial(ctx, engine.UI)
	}
	d.past = transport()
	return d
}

// transport keeps a few connections to each UI for a while.
func transport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 6, IdleConnTimeout: 30 * time.Second, // 6: as many as a browser opens
		ResponseHeaderTimeout: 2 * time.Minute, MaxResponseHeaderBytes: 64 << 10,
		DisableCompression: true, // the browser's own wish is passed on
	}
}

// Close closes idle connections.
func (d *Dashboards) Close() {
	d.live.CloseIdleConnections()
	d.past.CloseIdleConnections()
}

// URL returns where the caller, who was asked whether it may, opens the UI of
// the session: once, and for access.TicketLife.
func (d *Dashboards) URL(ctx context.Context, who access.Caller, s session.Session) (string, error) {
	ticket, err := d.cfg.Visits.Ticket(ctx, who, string(s.Key))
	if err != nil {
		return "", err
	}
	return d.cfg.Hosts.URL(s.Key) + enterPath + "?ticket=" + ticket, nil
}

// Handles reports whether a request is for the UI of a session, by its host.
func (d *Dashboards) Handles(r *http.Request) bool {
	_, ok := d.cfg.Hosts.Match(r.Host)
	return ok
}

// ServeHTTP answers what a browser asks of a session's UI.
func (d *Dashboards) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := &observed{ResponseWriter: w, from: "own", status: http.StatusOK}
	defer func() { d.cfg.Observe(seen.from, seen.status) }()
	key, _ := d.cfg.Hosts.Match(r.Host)
	switch {
	case key == "":
		d.pages.send(seen, r, notice{Status: http.StatusNotFound, Title: "No such session", Text: "This address belongs to no session."})
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		seen.Header().Set("Allow", "GET, HEAD")
		d.pages.send(seen, r, notice{Status: http.StatusMethodNotAllowed, Title: "Read only", Text: "A session's Spark UI can be looked at, not used to change anything.", Link: "/"})
	case r.URL.Path == enterPath:
		d.enter(seen, r, key)
	case foreign(r):
		d.pages.send(seen, r, notice{Status: http.StatusForbidden, Title: "Not from here", Text: "Another site may not load parts of a session's Spark UI."})
	case !d.visits(r, key):
		d.pages.send(seen, r, notice{
			Status: http.StatusForbidden, Title: "This page needs a link",
			Text: "Your browser has no access to the Spark UI of this session, or its time is over. Ask for a new link with GetResourceDashboard (aws athena get-resource-dashboard).",
		})
	case kills(r.URL.Path):
		d.pages.send(seen, r, notice{Status: http.StatusMethodNotAllowed, Title: "Read only", Text: "Jobs and stages cannot be ended from a session's Spark UI.", Link: "/"})
	case strings.HasPrefix(r.URL.Path, "/_glaux/"):
		d.pages.send(seen, r, notice{Status: http.StatusNotFound, Title: "No such page", Text: "There is no such page.", Link: "/"})
	default:
		d.serve(seen, r, key)
	}
}

// kills reports whether a path of the Spark UI ends work. Links to them are
// not shown; this is the second lock.
func kills(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if strings.EqualFold(strings.TrimSpace(part), "kill") {
			return true
		}
	}
	return false
}

// foreign reports whether a page of another host wants to load something,
// which browsers that can tell do tell. Hosts of other sessions count as the
// same site there, so the cookie alone does not keep them out. Going to a page
// by a link is nobody's secret.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}

// cookie is the name of the cookie of a visit. The prefix makes browsers
// insist on a secure, host-only one, which they take over TLS alone.
func (d *Dashboards) cookie() string {
	if d.cfg.Hosts.secure() {
		return "__Host-glaux-ui"
	}
	return "glaux-ui"
}

// visits reports whether the browser visits the session. Another host can put
// cookies of the same name beside ours, so one good one is enough.
func (d *Dashboards) visits(r *http.Request, key session.Key) bool {
	for _, c := range r.CookiesNamed(d.cookie()) {
		if _, err := d.cfg.Visits.Visitor(c.Value, string(key)); err == nil {
			return true
		}
	}
	return false
}

// enter exchanges a ticket for a visit.
func (d *Dashboards) enter(w http.ResponseWriter, r *http.Request, key session.Key) {
	if r.Method != http.MethodGet { // whoever looks at a link does not use it up
		d.pages.send(w, r, notice{Status: http.StatusOK, Title: "Spark UI", Text: "This link opens the Spark UI of a session."})
		return
	}
	visit, err := d.cfg.Visits.Enter(r.Context(), r.URL.Query().Get("ticket"), string(key))
	switch {
	case errors.Is(err, access.ErrNoTicket):
		n := notice{
			Status: http.StatusForbidden, Title: "This link is no longer good",
			Text: "It opens the Spark UI of one session, once, within an hour. Ask for a new one with GetResourceDashboard (aws athena get-resource-dashboard).",
		}
		if d.visits(r, key) {
			n.Link = "/"
		}
		d.pages.send(w, r, n)
		return
	case err != nil:
		d.cfg.Log.ErrorContext(r.Context(), "cannot take a ticket", "session", string(key), "err", err)
		d.pages.send(w, r, notice{Status: http.StatusServiceUnavailable, Title: "Not now", Text: "The link could not be checked. Try it again in a moment."})
		return
	}
	who, _ := d.cfg.Visits.Visitor(visit, string(key)) // it was made a moment ago
	d.cfg.Log.InfoContext(r.Context(), "Spark UI opened", "session", string(key), "caller", who, "remote", r.RemoteAddr)
	http.SetCookie(w, &http.Cookie{
		Name: d.cookie(), Value: visit, Path: "/", MaxAge: int(d.cfg.Visits.Life() / time.Second),
		HttpOnly: true, Secure: d.cfg.Hosts.secure(), SameSite: http.SameSiteLaxMode, // lax: a link in another site's page may lead here
	})
	harden(w.Header())
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", "/")
	w.WriteHeader(http.StatusSeeOther)
}

// observed remembers what was answered, and from where.
type observed struct {
	http.ResponseWriter
	from   string
	status int
}

func (o *observed) WriteHeader(status int) {
	o.status = status
	o.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

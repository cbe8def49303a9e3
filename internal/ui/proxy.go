package ui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"glaux/internal/engine"
	"glaux/internal/engine/history"
	"glaux/internal/session"
)

// secretHeader is what the driver jar's filter asks for.
const secretHeader = "X-Glaux-Session-Secret"

// How long a request waits before its browser is told to ask again.
const (
	startWithin = 5 * time.Second  // for a driver that is being launched or taken over
	readWithin  = 20 * time.Second // for the history to be read
)

// policy is the content security policy of Spark's pages. They have scripts in
// the page and compile others; nothing comes from or goes to anywhere else.
const policy = "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// serve answers from the session's Spark UI: the driver's while it runs.
func (d *Dashboards) serve(w *observed, r *http.Request, key session.Key) {
	s, err := d.cfg.Sessions.Session(r.Context(), key)
	switch {
	case errors.Is(err, session.ErrNotFound):
		d.pages.send(w, r, notice{Status: http.StatusNotFound, Title: "No such session", Text: "This session does not exist, or nothing is kept of it any more."})
		return
	case err != nil:
		d.cfg.Log.ErrorContext(r.Context(), "cannot read a session for its UI", "session", string(key), "err", err)
		d.unavailable(w, r, "The session cannot be looked up at the moment.")
		return
	case s.State == session.Ended:
		d.serveHistory(w, r, key)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), startWithin)
	defer cancel()
	driver, err := d.cfg.Sessions.Driver(ctx, key)
	var secret string
	if err == nil {
		secret, err = secretOf(ctx, driver)
	}
	if err != nil {
		d.failed(w, r, key, err)
		return
	}
	w.from = "live"
	d.pass(w, r, d.live, history.Place{Address: string(key) + ":80", Secret: secret}, func(w http.ResponseWriter, r *http.Request, err error) {
		d.failed(w, r, key, err)
	})
}

// secretOf asks a driver what its UI asks for.
func secretOf(ctx context.Context, driver engine.Driver) (string, error) {
	keeper, ok := driver.(engine.Keeper)
	if !ok {
		return "", engine.ErrNoSecret
	}
	return keeper.Secret(ctx, engine.UI)
}

// failed answers when the driver's UI could not be reached. A driver that has
// gone meanwhile has left its history.
func (d *Dashboards) failed(w http.ResponseWriter, r *http.Request, key session.Key, err error) {
	switch {
	case r.Context().Err() != nil: // the browser has gone
		return
	case errors.Is(err, engine.ErrGone):
		if o, ok := w.(*observed); ok {
			d.serveHistory(o, r, key)
			return
		}
	case errors.Is(err, context.DeadlineExceeded):
		d.unavailable(w, r, "The session is still starting.")
		return
	case errors.Is(err, engine.ErrNoReply):
		d.unavailable(w, r, "The session does not show its Spark UI at the moment ("+err.Error()+").")
		return
	}
	d.cfg.Log.WarnContext(r.Context(), "cannot reach the UI of a session", "session", string(key), "err", err)
	d.unavailable(w, r, "The session's Spark UI cannot be reached at the moment.")
}

// unavailable answers with a page that asks again by itself.
func (d *Dashboards) unavailable(w http.ResponseWriter, r *http.Request, text string) {
	d.pages.send(w, r, notice{Status: http.StatusServiceUnavailable, Title: "Not now", Text: text + " This page tries again by itself.", Refresh: 3})
}

// serveHistory answers from the event log of a session that is over.
func (d *Dashboards) serveHistory(w *observed, r *http.Request, key session.Key) {
	ctx, cancel := context.WithTimeout(r.Context(), readWithin)
	defer cancel()
	at, done, err := d.cfg.History.Open(ctx, key)
	switch {
	case err == nil:
	case r.Context().Err() != nil: // the browser has gone
		return
	case errors.Is(err, history.ErrNone):
		w.from = "own"
		d.pages.send(w, r, notice{
			Status: http.StatusNotFound, Title: "Nothing to show",
			Text: "The session has ended and no history of its Spark UI is kept: it ended before Spark had started, or longer ago than histories are kept.",
		})
		return
	case errors.Is(err, history.ErrHeld):
		w.from = "own"
		d.pages.send(w, r, notice{
			Status: http.StatusServiceUnavailable, Title: "Too much to show",
			Text: "The history of this session could not be read within the time and memory there is. It is not tried again for some minutes.",
		})
		return
	case errors.Is(err, history.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		w.from = "own"
		d.unavailable(w, r, "The history of this session is being read.")
		return
	default:
		d.cfg.Log.ErrorContext(r.Context(), "cannot show the history of a session", "session", string(key), "err", err)
		w.from = "own"
		d.pages.send(w, r, notice{Status: http.StatusServiceUnavailable, Title: "Not now", Text: "The history of this session cannot be shown at the moment."})
		return
	}
	defer done()
	w.from = "history"
	d.pass(w, r, d.past, at, func(w http.ResponseWriter, r *http.Request, err error) {
		if r.Context().Err() != nil {
			return
		}
		d.cfg.Log.WarnContext(r.Context(), "cannot reach the history of a session", "session", string(key), "err", err)
		d.unavailable(w, r, "The history of this session cannot be reached at the moment.")
	})
}

// pass sends the request on to a Spark UI and its reply back.
func (d *Dashboards) pass(w http.ResponseWriter, r *http.Request, by *http.Transport, to history.Place, failed func(http.ResponseWriter, *http.Request, error)) {
	proxy := httputil.ReverseProxy{
		Transport: by,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: to.Address})
			p.Out.Host = p.In.Host // Spark makes redirects of it
			p.Out.Body, p.Out.ContentLength = nil, 0
			for name := range p.Out.Header {
				if !passes(name) {
					p.Out.Header.Del(name)
				}
			}
			p.Out.Header.Set(secretHeader, to.Secret)
		},
		ModifyResponse: d.check,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			failed(w, r, err)
		},
		ErrorLog: slog.NewLogLogger(d.cfg.Log.Handler(), slog.LevelDebug), // such as a browser that went away
	}
	proxy.ServeHTTP(w, r)
}

// passes reports whether a browser's header is for Spark to see. Cookies and
// what proxies say of each other are not.
func passes(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "If-Modified-Since", "If-None-Match", "Range", "If-Range":
		return true
	}
	return false
}

// check makes a reply of Spark one of ours.
func (d *Dashboards) check(reply *http.Response) error {
	h := reply.Header
	h.Del("Set-Cookie")
	h.Del("Server")
	h.Del("X-Xss-Protection")
	harden(h)
	h.Set("Content-Security-Policy", policy)
	if to := h.Get("Location"); to != "" {
		local, ok := relative(to, reply.Request.Host)
		if !ok {
			h.Del("Location")
			d.replace(reply, notice{Status: http.StatusBadGateway, Title: "Not here", Text: "The Spark UI wants to lead to another place.", Link: "/"})
			return nil
		}
		h.Set("Location", local)
	}
	page := strings.HasPrefix(h.Get("Content-Type"), "text/html") && !strings.HasPrefix(reply.Request.URL.Path, "/api/")
	switch {
	case reply.StatusCode == http.StatusUnauthorized: // the secret was not the right one
		d.replace(reply, notice{Status: http.StatusBadGateway, Title: "Not now", Text: "The session's Spark UI does not answer this server.", Link: "/"})
	case reply.StatusCode == http.StatusNotFound && page:
		d.replace(reply, notice{Status: http.StatusNotFound, Title: "No such page", Text: "The Spark UI has no such page.", Link: "/"})
	case reply.StatusCode >= http.StatusInternalServerError && page:
		d.replace(reply, notice{Status: reply.StatusCode, Title: "Spark could not make this page", Text: "It may not know what was asked for any more.", Link: "/"})
	}
	return nil
}

// replace puts a page of ours into a reply.
func (d *Dashboards) replace(reply *http.Response, n notice) {
	_ = reply.Body.Close() // nobody reads it
	body := d.pages.render(n)
	reply.StatusCode, reply.Status = n.Status, ""
	reply.Header.Set("Content-Type", "text/html; charset=utf-8")
	reply.Header.Set("Cache-Control", "no-store")
	reply.Header.Del("Content-Encoding")
	reply.Header.Set("Content-Length", strconv.Itoa(len(body)))
	reply.ContentLength = int64(len(body))
	if reply.Request.Method == http.MethodHead {
		body = nil
	}
	reply.Body = io.NopCloser(bytes.NewReader(body))
}

// relative turns a redirect into one without scheme and host, whatever they
// are outside; false when it leads to another host.
func relative(to, host string) (string, bool) {
	u, err := url.Parse(to)
	if err != nil || u.Host != "" && !strings.EqualFold(u.Host, host) {
		return "", false
	}
	if u.Scheme != "" && u.Host == "" { // such as javascript:
		return "", false
	}
	local := u.EscapedPath()
	if !strings.HasPrefix(local, "/") || strings.HasPrefix(local, "//") {
		return "", false
	}
	if u.RawQuery != "" {
		local += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		local += "#" + u.EscapedFragment()
	}
	return local, true
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/logs"
	"glaux/internal/session"
)

// systemLogPath is where the logs of a Glue session's driver are downloaded.
const systemLogPath = "/_glaux/system-logs"

// systemLogLife is how long an address of logs is good.
const systemLogLife = time.Hour

// systemLogs gives away what the drivers of Glue sessions wrote, at addresses
// that carry their own proof and are written down nowhere.
type systemLogs struct {
	p     *parts
	pages *ident.Pages
}

func (p *parts) systemLogs() *systemLogs { return &systemLogs{p, p.pages()} }

// scope is what the proofs are bound to.
const systemLogScope = "system logs of a session"

// URL returns where the caller downloads the logs of the session.
func (l *systemLogs) URL(_ context.Context, _ access.Caller, s session.Session) (string, error) {
	if l.p.s.cfg.Logs.Endpoint != "" {
		return "", fault.Invalidf("The logs of session %s are in the CloudWatch log groups %s and %s.", s.ID, session.GlueLogGroup(true), session.GlueLogGroup(false)).About(s.ID)
	}
	proof := l.pages.Seal(systemLogScope, string(s.Key)+" "+strconv.FormatInt(time.Now().Add(systemLogLife).Unix(), 10))
	return l.p.s.base + systemLogPath + "?proof=" + url.QueryEscape(proof), nil
}

// ServeHTTP sends the lines of both streams in the order of their times.
func (l *systemLogs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox") // user code wrote it
	h.Set("Referrer-Policy", "no-referrer")
	key, ok := l.proven(r.URL.Query().Get("proof"))
	if !ok {
		http.Error(w, "This address is not good, or no longer: ask for a new one with GetSystemLogsForSession.", http.StatusForbidden)
		return
	}
	s, err := l.p.sessions.Session(r.Context(), key)
	switch {
	case errors.Is(err, session.ErrNotFound), err == nil && s.Deleted:
		http.Error(w, "The session was deleted.", http.StatusNotFound)
		return
	case err != nil:
		l.p.s.log.ErrorContext(r.Context(), "cannot read a session for its logs", "session", string(key), "err", err)
		http.Error(w, "The logs cannot be read now.", http.StatusServiceUnavailable)
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="system-logs-`+string(key)+`.txt"`)
	if err := l.send(r.Context(), w, &s); err != nil && r.Context().Err() == nil {
		l.p.s.log.ErrorContext(r.Context(), "cannot send the logs of a session", "session", string(key), "err", err)
		_, _ = io.WriteString(w, "[glaux: the rest of the logs could not be read]\n") // the reader may have gone
	}
}

// proven returns the session of an address that is good.
func (l *systemLogs) proven(proof string) (session.Key, bool) {
	text, err := l.pages.Open(systemLogScope, proof)
	if err != nil {
		return "", false
	}
	key, until, _ := strings.Cut(text, " ")
	at, err := strconv.ParseInt(until, 10, 64)
	return session.Key(key), err == nil && time.Now().Unix() < at
}

// send writes the two streams merged by time, each line with its time.
func (l *systemLogs) send(ctx context.Context, w io.Writer, s *session.Session) error {
	streams := [2]logReader{}
	for i, stderr := range []bool{false, true} {
		streams[i] = logReader{from: l.p.logs, q: logs.Query{Group: session.GlueLogGroup(stderr), Streams: []string{s.GlueLogStream()}}}
	}
	for {
		var next *logReader
		for i := range streams {
			r := &streams[i]
			if err := r.fill(ctx); err != nil {
				return err
			}
			if len(r.page) > 0 && (next == nil || r.page[0].Time.Before(next.page[0].Time)) {
				next = r
			}
		}
		if next == nil {
			return nil
		}
		e := next.page[0]
		next.page = next.page[1:]
		if _, err := fmt.Fprintf(w, "%s %s\n", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), e.Message); err != nil {
			return nil //nolint:nilerr // the reader has gone
		}
	}
}

// logReader reads a log stream page by page.
type logReader struct {
	from *logs.Store
	q    logs.Query
	page []logs.Entry
	over bool
}

// fill makes sure that the page has an event, unless there is none any more.
func (r *logReader) fill(ctx context.Context) error {
	for len(r.page) == 0 && !r.over {
		page, err := r.from.Read(ctx, r.q)
		if errors.Is(err, logs.ErrNoGroup) || errors.Is(err, logs.ErrNoStream) {
			r.over = true // nothing was written yet
			return nil
		}
		if err != nil {
			return err
		}
		r.page, r.q.Cursor, r.over = page.Events, page.Next, !page.More
	}
	return nil
}

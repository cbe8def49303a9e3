package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
	"glaux/internal/engine/history"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/store/storetest"
)

var ann = access.Caller{Account: "000000000000", ARN: "arn:aws:iam::000000000000:user/ann", UserID: "AIDA"}

// world is Dashboards over a store in memory, a fake engine and a history that
// is played.
type world struct {
	*testing.T
	*Dashboards
	store   *storetest.Memory
	machine *enginetest.Fake
	spark   http.HandlerFunc // what a UI answers, once the secret was right

	mu      sync.Mutex
	drivers map[session.Key]error // what is wrong with a session's driver
	kept    map[session.Key]error // what History.Open says
	past    *httptest.Server
	seen    []string // from and status of each reply
	open    int      // UIs of ended sessions in use
}

func newWorld(t *testing.T, base string) *world {
	t.Helper()
	w := &world{T: t, store: storetest.NewMemory(), drivers: map[session.Key]error{}, kept: map[session.Key]error{}}
	w.spark = func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s %s", r.URL.Path, r.URL.RawQuery)
	}
	ui := func(from, secret string) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get(secretHeader) != secret {
				http.Error(rw, "no", http.StatusUnauthorized)
				return
			}
			rw.Header().Set("X-From", from)
			w.spark(rw, r)
		})
	}
	w.machine = &enginetest.Fake{OnDial: enginetest.PlayUI(func(secret string) http.Handler { return ui("live", secret) })}
	w.past = httptest.NewServer(ui("history", "secret of the history"))
	t.Cleanup(w.past.Close)
	a, err := access.Open(t.Context(), access.Config{
		Dir: filepath.Join(t.TempDir(), "keys"), Home: ident.Home{Partition: "aws", Region: "us-east-1", Account: "000000000000"}, Keys: w.store,
	})
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := ParseHosts(base)
	if err != nil {
		t.Fatal(err)
	}
	w.Dashboards = New(Config{
		Hosts: hosts, Visits: a.Visits(w.store, time.Hour), Sessions: w, History: w, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Observe: func(from string, status int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen = append(w.seen, fmt.Sprint(from, " ", status))
		},
	})
	t.Cleanup(w.Close)
	return w
}

func (w *world) Session(ctx context.Context, key session.Key) (session.Session, error) {
	return w.store.Session(ctx, key)
}

func (w *world) Driver(ctx context.Context, key session.Key) (engine.Driver, error) {
	w.mu.Lock()
	err := w.drivers[key]
	w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return w.machine.Adopt(ctx, engine.Handle{Key: key})
}

func (w *world) Open(_ context.Context, key session.Key) (history.Place, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.kept[key]; err != nil {
		return history.Place{}, nil, err
	}
	w.open++
	done := func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open--
	}
	return history.Place{Address: w.past.Listener.Addr().String(), Secret: "secret of the history"}, done, nil
}

// session makes a session with a driver.
func (w *world) session() session.Session {
	w.Helper()
	id := ident.NewID()
	s, _, err := w.store.CreateSession(w.Context(), session.Creation{Session: session.Session{
		Key: session.Key(id), ID: id, Account: ann.Account, Face: session.Athena, Workgroup: "spark",
		Desired: session.Idle, State: session.Idle, Created: time.Now(), Changed: time.Now(),
	}})
	if err != nil {
		w.Fatal(err)
	}
	if _, err := w.machine.Launch(w.Context(), engine.Spec{Key: s.Key, Epoch: 1}); err != nil {
		w.Fatal(err)
	}
	return s
}

// end ends a session and its driver.
func (w *world) end(s session.Session) {
	w.Helper()
	w.machine.Crash(s.Key, engine.Exit{})
	_, err := w.store.UpdateSession(w.Context(), s.Key, func(s *session.Session) error {
		s.State, s.Cause, s.EndedAt = session.Ended, session.Asked, time.Now()
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

// visitor is a browser with the cookies it was given.
type visitor struct {
	*world
	host    string
	cookies []string
}

func (v *visitor) do(method, target string, headers ...string) *http.Response {
	v.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Host = v.host
	for _, c := range v.cookies {
		r.Header.Add("Cookie", c)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if !v.Handles(r) {
		v.Errorf("%s is not for the dashboards", v.host)
	}
	rec := httptest.NewRecorder()
	v.ServeHTTP(rec, r)
	return rec.Result()
}

func (v *visitor) get(target string, headers ...string) *http.Response {
	return v.do(http.MethodGet, target, headers...)
}

// visit opens the dashboard of a session as its link says.
func (w *world) visit(s session.Session) *visitor {
	w.Helper()
	link, err := w.URL(w.Context(), ann, s)
	if err != nil {
		w.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil {
		w.Fatal(err)
	}
	v := &visitor{world: w, host: u.Host}
	reply := v.get(u.RequestURI())
	if reply.StatusCode != http.StatusSeeOther || reply.Header.Get("Location") != "/" || len(reply.Cookies()) != 1 {
		w.Fatalf("the link answers %v", reply)
	}
	c := reply.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Domain != "" || c.Path != "/" || c.MaxAge != 3600 {
		w.Errorf("the cookie is %v", c)
	}
	v.cookies = []string{c.Name + "=" + c.Value}
	return v
}

func body(t *testing.T, reply *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantNotice checks that a reply is one of our own pages.
func (w *world) wantNotice(reply *http.Response, status int, words string) {
	w.Helper()
	text := body(w.T, reply)
	if reply.StatusCode != status || !strings.Contains(text, words) || !strings.Contains(text, "<h1>") ||
		!strings.HasPrefix(reply.Header.Get("Content-Security-Policy"), "default-src") || reply.Header.Get("X-Frame-Options") != "DENY" {
		w.Errorf("got %d %v %s, want %d with %q", reply.StatusCode, reply.Header, text, status, words)
	}
}

const local = "http://ui.localhost:4580"

func TestLiveThenHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, local)
	s := w.session()
	v := w.visit(s)
	want := func(from string) {
		t.Helper()
		reply := v.get("/jobs/job/?id=1&x=a%20b", "X-Forwarded-Context", "/evil", "Authorization", "Bearer x", "Accept", "text/html")
		if text := body(t, reply); reply.StatusCode != 200 || text != "/jobs/job/ id=1&x=a%20b" || reply.Header.Get("X-From") != from {
			t.Errorf("got %d %q from %q, want %q", reply.StatusCode, text, reply.Header.Get("X-From"), from)
		}
		if p := reply.Header.Get("Content-Security-Policy"); p != policy {
			t.Errorf("policy is %q", p)
		}
	}
	want("live")
	// Gone, but not written down yet.
	w.machine.Crash(s.Key, engine.Exit{})
	w.live.CloseIdleConnections() // a driver that is gone closes them
	want("history")
	w.end(s)
	want("history")
	if w.open != 0 {
		t.Errorf("%d histories are still in use", w.open)
	}
	w.kept[s.Key] = history.ErrNone
	w.wantNotice(v.get("/jobs/"), http.StatusNotFound, "no history")
	w.kept[s.Key] = context.DeadlineExceeded
	w.wantNotice(v.get("/jobs/"), http.StatusServiceUnavailable, `http-equiv="refresh"`)
	w.kept[s.Key] = history.ErrBusy
	w.wantNotice(v.get("/jobs/"), http.StatusServiceUnavailable, `http-equiv="refresh"`)
	w.kept[s.Key] = history.ErrHeld
	w.wantNotice(v.get("/jobs/"), http.StatusServiceUnavailable, "not tried again")
	w.kept[s.Key] = errors.New("secret cause")
	w.wantNotice(v.get("/jobs/"), http.StatusServiceUnavailable, "cannot be shown")
	if err := w.store.DeleteSession(t.Context(), s.Key); err != nil {
		t.Fatal(err)
	}
	w.wantNotice(v.get("/jobs/"), http.StatusNotFound, "does not exist")
	if got := strings.Join(w.seen, ","); got != "own 303,live 200,history 200,history 200,own 404,own 503,own 503,own 503,own 503,own 404" {
		t.Errorf("observed %s", got)
	}
}

func TestWhatSparkIsSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, local)
	var got *http.Request
	w.spark = func(_ http.ResponseWriter, r *http.Request) { got = r }
	v := w.visit(w.session())
	v.get("/static/webui.js", "If-Modified-Since", "then", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Context", "/p", "Cookie", v.cookies[0],
		"Authorization", "x", secretHeader, "forged", "Connection", "upgrade", "Upgrade", "websocket")
	if got.Host != v.host || got.Header.Get("If-Modified-Since") != "then" {
		t.Errorf("host %q, headers %v", got.Host, got.Header)
	}
	for _, name := range []string{"Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Context", "X-Forwarded-Host", "Upgrade"} {
		if v, ok := got.Header[http.CanonicalHeaderKey(name)]; ok {
			t.Errorf("Spark sees %s: %v", name, v)
		}
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, local)
	v := w.visit(w.session())
	for _, c := range []struct {
		name            string
		path            string
		status          int
		location        string // what Spark says
		page            string // content type
		want            int
		leads, contains string
	}{
		{"redirect to our host", "/", 302, "http://" + v.host + "/jobs/?a=1#b", "", 302, "/jobs/?a=1#b", ""},
		{"redirect without host", "/", 302, "/jobs/", "", 302, "/jobs/", ""},
		{"redirect elsewhere", "/", 302, "http://evil.example/jobs/", "", 502, "", "another place"},
		{"redirect to another session", "/", 302, "http://" + ident.NewID() + ".ui.localhost:4580/jobs/", "", 502, "", "another place"},
		{"redirect to a scheme", "/", 302, "javascript:alert(1)", "", 502, "", "another place"},
		{"redirect to a host in a path", "/", 302, "http://" + v.host + "//evil.example", "", 502, "", "another place"},
		{"missing page", "/nowhere/", 404, "", "text/html;charset=utf-8", 404, "", "no such page"},
		{"failed page", "/jobs/job/?id=x", 500, "", "text/html", 500, "", "could not make"},
		{"missing over REST", "/api/v1/applications/x", 404, "", "text/html", 404, "", "spark's own"},
		{"failed asset", "/static/x.js", 404, "", "text/javascript", 404, "", "spark's own"},
		{"refused secret", "/jobs/", 401, "", "text/html", 502, "", "does not answer"},
	} {
		w.spark = func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Set-Cookie", "JSESSIONID=1")
			rw.Header().Set("Server", "Jetty")
			if c.location != "" {
				rw.Header().Set("Location", c.location)
			}
			if c.page != "" {
				rw.Header().Set("Content-Type", c.page)
			}
			rw.WriteHeader(c.status)
			io.WriteString(rw, "spark's own: java.lang.RuntimeException\n\tat x")
		}
		reply := v.get(c.path)
		text := body(t, reply)
		if reply.StatusCode != c.want || reply.Header.Get("Location") != c.leads || !strings.Contains(text, c.contains) ||
			c.contains != "spark's own" && c.contains != "" && strings.Contains(text, "RuntimeException") {
			t.Errorf("%s: got %d to %q: %s", c.name, reply.StatusCode, reply.Header.Get("Location"), text)
		}
		if len(reply.Cookies()) != 0 || reply.Header.Get("Server") != "" {
			t.Errorf("%s: headers are %v", c.name, reply.Header)
		}
	}
}

func TestOnlyVisitorsSeeIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, local)
	one, two := w.session(), w.session()
	v, other := w.visit(one), w.visit(two)
	stranger := &visitor{world: w, host: v.host}
	w.wantNotice(stranger.get("/jobs/"), http.StatusForbidden, "GetResourceDashboard")
	stranger.cookies = []string{"glaux-ui=nonsense"}
	w.wantNotice(stranger.get("/jobs/"), http.StatusForbidden, "GetResourceDashboard")
	stranger.cookies = other.cookies
	w.wantNotice(stranger.get("/api/v1/applications"), http.StatusForbidden, "GetResourceDashboard")
	// Another host can set a cookie of the same name beside ours.
	stranger.cookies = []string{other.cookies[0] + "; " + v.cookies[0]}
	if reply := stranger.get("/jobs/"); reply.StatusCode != 200 {
		t.Errorf("with a second cookie: %d", reply.StatusCode)
	}
	stranger.cookies = nil
	stranger.host = "nonsense.ui.localhost"
	w.wantNotice(stranger.get("/jobs/"), http.StatusNotFound, "no session")
	stranger.host = "ui.localhost:4580"
	w.wantNotice(stranger.get("/jobs/"), http.StatusNotFound, "no session")
}

func TestLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, local)
	one, two := w.session(), w.session()
	link, err := w.URL(t.Context(), ann, one)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(link, "http://"+string(one.Key)+".ui.localhost:4580/_glaux/enter?ticket=") {
		t.Fatalf("link is %s, %v", link, err)
	}
	foreign := &visitor{world: w, host: string(two.Key) + ".ui.localhost:4580"}
	w.wantNotice(foreign.get(u.RequestURI()), http.StatusForbidden, "no longer good")
	own := &visitor{world: w, host: u.Host}
	if reply := own.do(http.MethodHead, u.RequestURI()); reply.StatusCode != 200 { // a preview does not use it up
		t.Errorf("HEAD: %d", reply.StatusCode)
	}
	reply := own.get(u.RequestURI())
	if reply.StatusCode != http.StatusSeeOther {
		t.Fatalf("the link answers %d", reply.StatusCode)
	}
	w.wantNotice(own.get(u.RequestURI()), http.StatusForbidden, "no longer good")
	own.cookies = []string{reply.Cookies()[0].Name + "=" + reply.Cookies()[0].Value}
	again := own.get(u.RequestURI())
	if text := body(t, again); again.StatusCode != http.StatusForbidden || !strings.Contains(text, `href="/"`) {
		t.Errorf("a used link of somebody who is in: %d %s", again.StatusCode, text)
	}
	for _, bad := range []string{"/_glaux/enter", "/_glaux/enter?ticket=", "/_glaux/enter?ticket=x"} {
		w.wantNotice(own.get(bad), http.StatusForbidden, "no longer good")
	}
	w.store.Fail = func(string) error { return errors.New("no store") }
	w.wantNotice(own.get(u.RequestURI()), http.StatusServiceUnavailable, "could not be checked")
	w.wantNotice(own.get("/jobs/"), http.StatusServiceUnavailable, "cannot be looked up")
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, local)
	v := w.visit(w.session())
	w.spark = func(http.ResponseWriter, *http.Request) { t.Error("Spark was asked") }
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"} {
		reply := v.do(method, "/jobs/")
		if reply.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s is allowed: %q", method, reply.Header.Get("Allow"))
		}
		w.wantNotice(reply, http.StatusMethodNotAllowed, "not used to change")
	}
	for _, path := range []string{"/jobs/job/kill/?id=1", "/stages/stage/kill?id=1", "/jobs/job/KILL/", "/jobs/job/%6b%69ll/", "/jobs/job/kill%20/"} {
		w.wantNotice(v.get(path), http.StatusMethodNotAllowed, "cannot be ended")
	}
	w.wantNotice(v.get("/_glaux/anything"), http.StatusNotFound, "no such page")
	for _, c := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
		{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
	} {
		w.wantNotice(v.get("/jobs/", c...), http.StatusForbidden, "Another site")
	}
	w.spark = func(http.ResponseWriter, *http.Request) {}
	for _, c := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, // a link
		{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
	} {
		if reply := v.get("/jobs/", c...); reply.StatusCode != 200 {
			t.Errorf("%v: %d", c, reply.StatusCode)
		}
	}
}

func TestDriverThatDoesNotShowItsUI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, local)
	s := w.session()
	v := w.visit(s)
	w.drivers[s.Key] = context.DeadlineExceeded
	w.wantNotice(v.get("/jobs/"), http.StatusServiceUnavailable, "still starting")
	w.drivers[s.Key] = errors.New("secret cause")
	w.wantNotice(v.get("/jobs/"), http.StatusServiceUnavailable, "cannot be reached")
	delete(w.drivers, s.Key)
	w.machine.OnDial = func(engine.Key, engine.Service) (net.Conn, error) {
		return nil, fmt.Errorf("%w: there is no <SparkContext>", engine.ErrNoReply)
	}
	w.wantNotice(v.get("/jobs/"), http.StatusServiceUnavailable, "there is no &lt;SparkContext&gt;")
}

func TestHosts(t *testing.T) {
	t.Parallel()
	key := engine.Key(ident.NewID())
	for base, want := range map[string]string{
		"http://ui.localhost:4580":    "http://" + string(key) + ".ui.localhost:4580",
		"https://UI.Example.com":      "https://" + string(key) + ".ui.example.com",
		"https://ui.example.com:8443": "https://" + string(key) + ".ui.example.com:8443",
	} {
		h, err := ParseHosts(base)
		if err != nil || h.URL(key) != want {
			t.Errorf("%s gives %s, %v", base, h.URL(key), err)
		}
		for header, is := range map[string]bool{
			strings.TrimPrefix(strings.TrimPrefix(want, "https://"), "http://"): true,
			strings.ToUpper(string(key)) + "." + h.name + ".":                   true,
			h.name + ".evil.example":                                            false,
			string(key) + "." + h.name + ".evil.example":                        false,
			"x" + h.name: false, "localhost:4580": false, "": false, "bucket.s3.localhost": false,
		} {
			if got, ok := h.Match(header); ok != is || is && got != key {
				t.Errorf("%s: %q is %q, %v", base, header, got, ok)
			}
		}
	}
	for _, bad := range []string{"", "ui.localhost", "ftp://ui.localhost", "http://127.0.0.1:80", "http://ui.localhost/x", "http://a@ui.localhost", "http://ui.localhost?x", ":"} {
		if _, err := ParseHosts(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestCookieOverTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "https://ui.example.com")
	v := w.visit(w.session())
	if !strings.HasPrefix(v.cookies[0], "__Host-glaux-ui=") {
		t.Errorf("the cookie is %s", v.cookies[0])
	}
	if reply := v.get("/jobs/"); reply.StatusCode != 200 {
		t.Errorf("with it: %d", reply.StatusCode)
	}
}

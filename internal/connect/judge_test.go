package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"glaux/internal/access"
	"glaux/internal/session"
)

func TestRuleOfExpiredTokens(t *testing.T) {
	t.Parallel()
	keys, err := access.Open(t.Context(), access.Config{Dir: filepath.Join(t.TempDir(), "keys"), Home: home})
	if err != nil {
		t.Fatal(err)
	}
	const life, grace = 30 * time.Minute, 10 * time.Minute
	for name, c := range map[string]struct {
		strict   bool
		used     []time.Duration // after it was made, on the connection that asks
		restart  time.Duration   // when the server starts, zero: before everything
		asked    time.Duration
		elsehere bool // it asks on another connection
		want     error
	}{
		"unexpired":                            {asked: life - time.Second},
		"unexpired, strict":                    {strict: true, asked: life - time.Second},
		"expired":                              {asked: life, want: ExpiredToken},
		"expired, accepted here":               {used: []time.Duration{time.Minute}, asked: 5 * time.Hour},
		"expired, accepted here, strict":       {strict: true, used: []time.Duration{time.Minute}, asked: life, want: ExpiredToken},
		"expired, accepted on another":         {used: []time.Duration{time.Minute}, asked: life, elsehere: true, want: ExpiredToken},
		"expired, asked here when it was late": {used: []time.Duration{life + time.Minute}, asked: life + 2*time.Minute, want: ExpiredToken},
		"expired, after a restart":             {restart: time.Hour, asked: time.Hour + grace - time.Second},
		"expired, long after a restart":        {restart: time.Hour, asked: time.Hour + grace, want: ExpiredToken},
		"expired a day before a restart":       {restart: life + graceReaches, asked: life + graceReaches + time.Second, want: ExpiredToken},
		"expired within the day before":        {restart: life + graceReaches - time.Second, asked: life + graceReaches},
		"expired, after a restart, strict":     {strict: true, restart: time.Hour, asked: time.Hour + time.Second, want: ExpiredToken},
		"accepted within the grace of a restart, used on": {
			restart: time.Hour, used: []time.Duration{time.Hour + time.Minute}, asked: 9 * time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				made := time.Now()
				at := func(d time.Duration) { time.Sleep(time.Until(made.Add(d))) }
				token, _, err := keys.ConnectToken(root, "k", life)
				if err != nil {
					t.Fatal(err)
				}
				other, _, err := keys.ConnectToken(root, "other", life)
				if err != nil {
					t.Fatal(err)
				}
				at(c.restart)
				j := &judge{tokens: keys, strict: c.strict}
				if c.restart > 0 {
					j.started, j.grace = time.Now(), grace
				}
				here, there := new(accepted), new(accepted)
				for _, d := range c.used {
					at(d)
					_, _ = j.judge(token, here) // whether it is accepted is part of the case
				}
				at(c.asked)
				on := here
				if c.elsehere {
					on = there
				}
				grant, err := j.judge(token, on)
				if !errors.Is(err, c.want) || err == nil && (grant.Session != "k" || grant.Who != root) {
					t.Errorf("got %+v, %v; want %v", grant, err, c.want)
				}
				// That one session's token was accepted says nothing of another's.
				if _, err := j.judge(other, here); c.restart == 0 && c.asked >= life && !errors.Is(err, ExpiredToken) {
					t.Errorf("another session's expired token: %v", err)
				}
			})
		})
	}
}

func TestConnectionRemembersBoundedly(t *testing.T) {
	t.Parallel()
	var a accepted
	for n := range 3 * remembered {
		a.add([32]byte{byte(n), byte(n >> 8)})
	}
	if len(a.by) != remembered || len(a.order) != remembered {
		t.Errorf("%d and %d are remembered", len(a.by), len(a.order))
	}
	last := 3*remembered - 1
	if a.has([32]byte{}) || !a.has([32]byte{byte(last), byte(last >> 8)}) {
		t.Error("not the newest are remembered")
	}
}

func TestTokensOfCalls(t *testing.T) {
	t.Parallel()
	up := mustBackend(t, results(0))
	w := mustServe(t, nil)
	const key, another = session.Key("0b2f8a4e-5d1c-4f6e-9a37-1c2d3e4f5a6b"), session.Key("other")
	w.sessions.add(key, &driver{b: up})
	w.sessions.add(another, &driver{b: up})
	token, other := w.token(key), w.token(another)
	denied := func(text string) string { return codes.PermissionDenied.String() + ": " + text }
	for name, c := range map[string]struct {
		meta []string
		want string
	}{
		"AWS's way":                       {[]string{"x-aws-proxy-auth", token}, "OK: "},
		"the standard way":                {[]string{"authorization", "Bearer " + token}, "OK: "},
		"the standard way in lower case":  {[]string{"authorization", "bearer " + token}, "OK: "},
		"AWS's way beside something else": {[]string{"authorization", "some session id", "x-aws-proxy-auth", token}, "OK: "},
		"the host of its session":         {[]string{"host", string(key) + ".sessions.localhost:443", "x-aws-proxy-auth", token}, "OK: "},
		"another session's host":          {[]string{"host", string(key) + ".sessions.localhost:443", "x-aws-proxy-auth", other}, denied("the token is for another session")},
		"a host that is only named alike": {[]string{"host", "glaux.sessions.localhost", "x-aws-proxy-auth", other}, "OK: "},
		"none":                            {nil, denied("the call carries no token: send the AuthToken of GetSessionEndpoint as x-aws-proxy-auth, or as a bearer token")},
		"two":                             {[]string{"x-aws-proxy-auth", token, "x-aws-proxy-auth", token}, denied("the call carries no token: send the AuthToken of GetSessionEndpoint as x-aws-proxy-auth, or as a bearer token")},
		"another scheme":                  {[]string{"authorization", "Basic " + token}, denied("the call carries no token: send the AuthToken of GetSessionEndpoint as x-aws-proxy-auth, or as a bearer token")},
		"nonsense":                        {[]string{"x-aws-proxy-auth", "nonsense"}, denied("the token is not valid")},
		"cut":                             {[]string{"x-aws-proxy-auth", token[:len(token)-1]}, denied("the token is not valid")},
	} {
		t.Run(name, func(t *testing.T) {
			host := "localhost"
			meta := c.meta
			if len(meta) > 0 && meta[0] == "host" {
				host, meta = meta[1], meta[2:]
			}
			_, err := one(t, w.dialAs(host), "Config", []byte{}, meta...)
			if got := status.Code(err).String() + ": " + status.Convert(err).Message(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	if got := fmt.Sprint(w.meter.refused); got != "map[foreign-token:1 no-token:3 wrong-token:2]" {
		t.Errorf("counted %s", got)
	}
}

func TestPolicyIsAskedAtEveryCall(t *testing.T) {
	t.Parallel()
	up := mustBackend(t, results(0))
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	who := access.Caller{Account: home.Account, ARN: "arn:aws:sts::000000000000:assumed-role/AthenaExecutor/x", UserID: "AROAX:x", SessionKey: "another", Workgroup: "spark35"}
	token, _, err := w.keys.ConnectToken(who, "k", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, err = one(t, w.dial(), "Config", []byte{}, "x-aws-proxy-auth", token)
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "is not authorized to perform: athena:GetSessionEndpoint on resource: arn:aws:athena:us-east-1:000000000000:workgroup/spark35/session/k") {
		t.Errorf("got %v", err)
	}
}

func TestRefusedCallsAreBoundedForOneSourceOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStrikes()
		a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
		for n := range strikesBurst {
			if wait, ok := s.take(a, time.Now()); wait > 0 || !ok {
				t.Fatalf("refusal %d is one too many", n)
			}
		}
		for n := range strikesQueue {
			if wait, ok := s.take(a, time.Now()); !ok || wait.Round(time.Millisecond) != time.Duration(n+1)*time.Second/strikesRate {
				t.Fatalf("call %d past the burst waits %v, %v", n, wait, ok)
			}
		}
		if _, ok := s.take(a, time.Now()); ok {
			t.Error("any number may wait")
		}
		if wait, ok := s.take(b, time.Now()); wait > 0 || !ok {
			t.Error("another source waits")
		}
		time.Sleep((strikesQueue/strikesRate + 1) * time.Second)
		for range strikesRate {
			if wait, _ := s.take(a, time.Now()); wait > 0 {
				t.Error("the bucket does not fill")
			}
		}
		s.giveBack(a)
		if wait, _ := s.take(a, time.Now()); wait > 0 {
			t.Error("what was given back is lost")
		}
		if wait, _ := s.take(a, time.Now()); wait == 0 {
			t.Error("the rate is not bounded")
		}
		for n := range 3 * strikesKept {
			s.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32), time.Now())
		}
		if len(s.by) > strikesKept {
			t.Errorf("%d sources are kept", len(s.by))
		}
	})
}

func TestManyRefusalsEndTheConnectionAndGoodTokensGoOn(t *testing.T) {
	t.Parallel()
	up := mustBackend(t, results(0))
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	bad, good := w.dial(), w.dial()
	token := w.token("k")
	var last error
	for range strikesBurst + 5 {
		_, last = one(t, bad, "Config", []byte{}, "x-aws-proxy-auth", "nonsense")
		if _, err := one(t, good, "Config", []byte{}, "x-aws-proxy-auth", token); err != nil {
			t.Fatal(err)
		}
	}
	if status.Code(last) != codes.PermissionDenied || !strings.Contains(last.Error(), "too many calls were refused") {
		t.Errorf("got %v", last)
	}
	if _, err := one(t, w.dial(), "Config", []byte{}, "x-aws-proxy-auth", token); err != nil {
		t.Errorf("a new connection with a good token: %v", err)
	}
}

// TestGuessesAreJudgedSlowlyHoweverTheyCome has each guess on a connection of its own.
func TestGuessesAreJudgedSlowlyHoweverTheyCome(t *testing.T) {
	t.Parallel()
	w := mustServe(t, nil)
	began := time.Now()
	ctx, cancel := context.WithTimeout(with(t.Context(), "x-aws-proxy-auth", "nonsense"), 2*time.Second)
	defer cancel()
	var guessing sync.WaitGroup
	for range 2 * (strikesBurst + strikesQueue) {
		guessing.Go(func() {
			switch err := w.dial().Invoke(ctx, service+"Config", new([]byte), new([]byte)); status.Code(err) {
			case codes.PermissionDenied, codes.Unavailable, codes.DeadlineExceeded:
			default:
				t.Errorf("got %v", err)
			}
		})
	}
	guessing.Wait()
	most := strikesBurst + int(time.Since(began).Seconds()*strikesRate) + 1
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	if judged := w.meter.refused[WrongToken]; judged > most || w.meter.refused[TooMany] == 0 {
		t.Errorf("%d were judged, %d at most may be; %d were turned away", judged, most, w.meter.refused[TooMany])
	}
}

func TestStrangersAreMetCheaply(t *testing.T) {
	t.Parallel()
	w := mustServe(t, nil)
	for name, c := range map[string]struct{ say, want string }{
		"garbage":  {"\x01\x02\x03\x04\x05\x06\x07\x08", ""},
		"HTTP/1.1": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.0 400 Bad Request"},
		"HTTP/2":   {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.0 400 Bad Request"},
	} {
		conn, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.say); err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(conn)                                                      // the end may come as a reset
		if !strings.HasPrefix(string(answer), c.want) || c.want == "" && len(answer) > 7 { // at most an alert
			t.Errorf("%s: answered %q", name, answer)
		}
		conn.Close()
	}
	for name, protocols := range map[string][]string{"no protocol": nil, "HTTP/1.1 over TLS": {"http/1.1"}} {
		conn, err := tls.Dial("tcp", w.address, &tls.Config{RootCAs: w.roots, NextProtos: protocols})
		if err == nil { // with TLS 1.3 the refusal comes with the first read
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if err == nil {
			t.Errorf("%s is served", name)
		}
	}
	plain := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}, ForceAttemptHTTP2: true}}
	reply, err := plain.Get("https://" + w.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	reply.Body.Close()
	if reply.StatusCode != http.StatusUnsupportedMediaType || reply.ProtoMajor != 2 {
		t.Errorf("a browser is told %s %s", reply.Proto, reply.Status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+w.address+service+"Config", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("X-Long", strings.Repeat("x", 4*maxMetadata))
	if reply, err = plain.Do(req); err == nil { // cut off or refused, either is cheap
		reply.Body.Close()
		if reply.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("long metadata: %s", reply.Status)
		}
	}
}

func TestFloodOfSilentConnectionsHindersNobody(t *testing.T) {
	t.Parallel()
	up := mustBackend(t, results(0))
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{b: up})
	before, token := w.dial(), w.token("k")
	if _, err := one(t, before, "Config", []byte{}, "x-aws-proxy-auth", token); err != nil {
		t.Fatal(err)
	}
	const flood = 5000
	for n := range flood {
		conn, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		defer conn.Close()
		if n%1000 == 999 {
			if _, err := one(t, w.dial(), "Config", []byte{}, "x-aws-proxy-auth", token); err != nil {
				t.Errorf("a new client after %d: %v", n, err)
			}
			if _, err := one(t, before, "Config", []byte{}, "x-aws-proxy-auth", token); err != nil {
				t.Errorf("a client from before after %d: %v", n, err)
			}
		}
	}
	w.meter.mu.Lock()
	defer w.meter.mu.Unlock()
	if w.meter.open > strangersOfOne+10 || w.meter.refused[TooMany] < flood-strangersOfOne-10 {
		t.Errorf("%d are open, %d were refused", w.meter.open, w.meter.refused[TooMany])
	}
}

func TestStrangersLeaveInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		meter := &tally{}
		a := newAdmission(meter)
		near, far := net.Pipe()
		defer far.Close()
		stranger := a.enter(near)
		near2, far2 := net.Pipe()
		defer far2.Close()
		guest := a.enter(near2)
		guest.welcome("k")
		time.Sleep(strangersStay - time.Second)
		a.expire(time.Now())
		if meter.open != 2 {
			t.Errorf("%d are open early", meter.open)
		}
		time.Sleep(time.Second)
		a.expire(time.Now())
		if _, err := stranger.Read(make([]byte, 1)); meter.open != 1 || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%d are open, the stranger reads %v", meter.open, err)
		}
		guest.Close()
		guest.Close()
		if meter.open != 0 || a.all.Len() != 0 || len(a.by) != 0 {
			t.Errorf("%d are open, %d and %d are kept", meter.open, a.all.Len(), len(a.by))
		}
	})
}

func TestGuestsOfASessionThatEndedAreStrangersAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		meter, known := &tally{}, newSessions()
		s := New(Config{Sessions: known, Meter: meter})
		for _, key := range []session.Key{"k", "l"} {
			known.add(key, nil)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var sweeping sync.WaitGroup
		sweeping.Go(func() { s.runSweep(ctx) })
		guest := func(of ...session.Key) {
			near, far := net.Pipe()
			t.Cleanup(func() { far.Close() })
			l := s.admit.enter(near)
			for _, key := range of {
				if !l.welcome(key) {
					t.Errorf("one of %d guests of %s is turned away", guestsOfOne, key)
				}
			}
		}
		for range guestsOfOne - 1 {
			guest("k")
		}
		guest("k", "l")
		near, far := net.Pipe()
		defer far.Close()
		if more := s.admit.enter(near); more.welcome("k") || !more.welcome("l") {
			t.Error("a session may have any number of guests, or another may have none")
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if meter.open != guestsOfOne+1 {
			t.Errorf("%d are open while the sessions live", meter.open)
		}
		known.end("k", session.Expired, "")
		time.Sleep(partEvery + strangersStay + 2*sweepEvery)
		synctest.Wait()
		if meter.open != 2 {
			t.Errorf("%d are open, two are another session's", meter.open)
		}
		known.end("l", session.Expired, "")
		time.Sleep(partEvery + strangersStay + 2*sweepEvery)
		synctest.Wait()
		if meter.open != 0 || len(s.admit.guests) != 0 || s.admit.all.Len() != 0 {
			t.Errorf("%d are open, %d and %d are kept", meter.open, len(s.admit.guests), s.admit.all.Len())
		}
		cancel()
		sweeping.Wait()
	})
}

func TestTokenOfADeadSessionMakesNoGuest(t *testing.T) {
	t.Parallel()
	w := mustServe(t, nil)
	w.sessions.add("k", &driver{})
	w.sessions.end("k", session.Expired, "")
	if _, err := one(t, w.dial(), "Config", []byte{}, "x-aws-proxy-auth", w.token("k")); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v", err)
	}
	w.server.admit.mu.Lock()
	defer w.server.admit.mu.Unlock()
	if n, m := len(w.server.admit.guests), w.server.admit.all.Len(); n != 0 || m != 1 {
		t.Errorf("%d sessions have guests, %d strangers are there", n, m)
	}
}

func TestSessionHosts(t *testing.T) {
	t.Parallel()
	const id = "0b2f8a4e-5d1c-4f6e-9a37-1c2d3e4f5a6b"
	for host, want := range map[string]string{
		"localhost": "", "localhost:443": "", "127.0.0.1:15443": "", "[::1]:443": "", "sessions.localhost": "",
		id + ".sessions.localhost": id, strings.ToUpper(id) + ".Sessions.Localhost:443": id, id + ".sessions.spark.example.com": id,
		"spark.example.com": "", "glaux.sessions.example.com": "", "k.sessions.localhost": "", id + ".example.com": "",
	} {
		if key, ok := sessionHost(host); ok != (want != "") || ok && key != want {
			t.Errorf("%s: %q, %v", host, key, ok)
		}
	}
}

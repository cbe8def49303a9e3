package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// inTest is a server inside the test.
type inTest struct {
	cfg  Config
	url  string
	stop context.CancelFunc
	done chan error
	out  *lockedBuffer
}

// lockedBuffer is what a server and a test share.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func testConfig(t *testing.T, dir string) Config {
	t.Helper()
	c := Config{
		Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "data"), ReadyFile: filepath.Join(dir, "ready"),
		Region: "us-east-1", Account: "000000000000", DPU: DPU{Cores: 2, Memory: 2048, Heap: 1024},
		IdleTimeout: 20 * time.Minute, Orphaned: time.Hour, CredentialLife: time.Hour, Retention: time.Hour, MaxOutput: 1 << 20,
		SessionUIDs: 200000, LogLevel: "info", LogFormat: "text",
	}
	c.Shim = filepath.Join(dir, "shim") // no session is started here
	if err := os.WriteFile(c.Shim, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	sockets, err := os.MkdirTemp("", "glx") // short: socket paths are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	c.SocketDir = sockets
	if err := c.Complete(os.Getenv); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	return c
}

// mustStart runs a server and waits until it is ready.
func mustStart(t *testing.T, c Config) *inTest {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &inTest{cfg: c, stop: stop, done: make(chan error, 1), out: new(lockedBuffer)}
	os.Remove(c.ReadyFile)
	go func() { r.done <- Run(ctx, c, r.out) }()
	deadline := time.After(30 * time.Second)
	for {
		if text, err := os.ReadFile(c.ReadyFile); err == nil {
			r.url, _, _ = strings.Cut(string(text), "\n")
			break
		}
		select {
		case err := <-r.done:
			t.Fatalf("server ended before it was ready: %v\n%s", err, r.out)
		case <-deadline:
			t.Fatalf("server is not ready\n%s", r.out)
		case <-time.After(2 * time.Millisecond):
		}
	}
	t.Cleanup(func() { r.mustEnd(t) })
	return r
}

func (r *inTest) mustEnd(t *testing.T) {
	t.Helper()
	r.stop()
	select {
	case err, open := <-r.done:
		if open && err != nil {
			t.Errorf("server ended with %v\n%s", err, r.out)
		}
		if open {
			close(r.done)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("server does not end")
	}
}

func mustGet(t *testing.T, url, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(body)
}

func TestServerRunsTwice(t *testing.T) {
	c := testConfig(t, t.TempDir())
	for range 2 {
		r := mustStart(t, c)
		if status, body := mustGet(t, r.url+"/_glaux/ready", ""); status != http.StatusOK {
			t.Errorf("ready answers %d %s", status, body)
		}
		if status, _ := mustGet(t, r.url+"/_glaux/health", "rebound.example"); status != http.StatusMisdirectedRequest {
			t.Errorf("health answers %d to a foreign host name", status)
		}
		if status, _ := mustGet(t, r.url+"/some-bucket/key", ""); status != http.StatusForbidden {
			t.Errorf("S3 answers %d to a request without a signature", status)
		}
		if status, _ := mustGet(t, r.url+"/?Action=GetCallerIdentity&Version=2011-06-15", ""); status != http.StatusForbidden {
			t.Errorf("STS answers %d to a request without a signature", status)
		}
		r.mustEnd(t)
		for _, path := range []string{c.ReadyFile, newPlace(&c).control(), newPlace(&c).agent()} {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is still there", path)
			}
		}
	}
}

func TestOneServerForADataDirectory(t *testing.T) {
	c := testConfig(t, t.TempDir())
	r := mustStart(t, c)
	err := Run(context.Background(), c, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "another server") || !strings.Contains(err.Error(), r.url) {
		t.Errorf("a second server says %v", err)
	}
}

func TestTakenAddressIsToldAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := testConfig(t, t.TempDir())
	c.Listen = l.Addr().String()
	if err := Run(context.Background(), c, io.Discard); err == nil || !strings.Contains(err.Error(), c.Listen) {
		t.Errorf("Run says %v", err)
	}
}

func TestEnvAndStop(t *testing.T) {
	c := testConfig(t, t.TempDir())
	ctx := context.Background()
	if err := Env(ctx, c, io.Discard); !errors.Is(err, errNotRunning) {
		t.Errorf("Env without a server says %v", err)
	}
	r := mustStart(t, c)
	var out bytes.Buffer
	if err := Env(ctx, c, &out); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"AWS_ENDPOINT_URL='" + r.url + "'", "AWS_ACCESS_KEY_ID='AKIA", "AWS_SECRET_ACCESS_KEY='", "AWS_DEFAULT_REGION='us-east-1'",
		"AWS_REGION='us-east-1'", "AWS_EC2_METADATA_DISABLED='true'", "AWS_ALLOW_HTTP='true'",
	} {
		if !strings.Contains(out.String(), "export "+name) {
			t.Errorf("env does not print %s:\n%s", name, &out)
		}
	}
	if said := r.out.String(); !strings.Contains(said, " env --data-dir "+shellQuote(c.DataDir)) {
		t.Errorf("the server does not say how to connect:\n%s", said)
	}
	out.Reset()
	if err := Stop(ctx, c, &out); err != nil {
		t.Fatalf("Stop says %v: %s", err, &out)
	}
	if err := Stop(ctx, c, &out); err != nil {
		t.Errorf("Stop of what is stopped says %v", err)
	}
}

// Whoever asks for a stop and leaves has asked all the same.
func TestStopGoesOnWithoutItsPeer(t *testing.T) {
	c := testConfig(t, t.TempDir())
	r := mustStart(t, c)
	conn, err := net.Dial("unix", newPlace(&c).control())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "POST /stop HTTP/1.1\r\nHost: control\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	select {
	case err := <-r.done:
		close(r.done)
		if err != nil {
			t.Errorf("server ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("the server goes on:\n%s", r.out)
	}
}

func TestSocketsAreForTheirUserAlone(t *testing.T) {
	c := testConfig(t, t.TempDir())
	mustStart(t, c)
	p := newPlace(&c)
	for _, path := range []string{p.agent(), p.control()} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode().Perm())
		}
	}
}

func TestConfigTellsEveryFault(t *testing.T) {
	c := testConfig(t, t.TempDir())
	c.Listen, c.Account, c.Region, c.TLSCert, c.MaxSessions, c.LogFormat = "0.0.0.0:1", "7", "nowhere", "", -1, "xml"
	c.MetricsListen, c.MaxRequestBytes, c.S3.Hosts = ":4581", 1, []string{"10.0.0.1"}
	c.Logs = Logs{RetentionDays: 4000, MaxBytes: 1, Endpoint: "logs.example"}
	c.UI, c.History = UI{URL: "http://localhost:4580", Visit: time.Second}, History{Retention: time.Second, MaxBytes: 1, Heap: 1, Idle: 1}
	c.Statements = Statements{MaxResult: 1, MaxQueue: -1}
	err := c.Check()
	if err == nil {
		t.Fatal("a bad configuration passes")
	}
	for _, text := range []string{"without TLS", "account", "region", "max-sessions", "xml", "metrics", "max-request-bytes", "s3-hosts", "logs-retention-days", "logs-max-bytes", "logs-endpoint \"logs.example\"", "logs-access-key",
		"ui-url \"http://localhost:4580\"", "ui-visit", "history-retention", "history-max-bytes", "history-heap", "history-idle",
		"statement-max-result", "statement-max-queue"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not told in %v", text, err)
		}
	}
	c = testConfig(t, t.TempDir())
	c.Listen, c.AllowPlaintext = "0.0.0.0:1", true
	if err := c.Check(); err != nil {
		t.Errorf("--allow-plaintext does not permit it: %v", err)
	}
}

func TestFileRefusesUnknownKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("listne: x\n")
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "listne") {
		t.Errorf("a misspelt key says %v", err)
	}
	write("dpu: {cores: 3}\ns3: {hosts: [a.lan, b.lan]}\nusers: [{name: a}]\n")
	f, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := f.Value("dpu-cores"); !ok || v != "3" {
		t.Errorf("dpu-cores is %q, %v", v, ok)
	}
	if v, ok := f.Value("s3-hosts"); !ok || v != "a.lan,b.lan" {
		t.Errorf("s3-hosts is %q, %v", v, ok)
	}
	if len(f.Users) != 1 {
		t.Errorf("users are %v", f.Users)
	}
}

func TestProcessors(t *testing.T) {
	c := Config{}
	if got := c.processors(); got != max(1, given/2) {
		t.Errorf("of %d processors the server has %d", given, got)
	}
	c.Processors = 3
	if got := c.processors(); got != 3 {
		t.Errorf("it has %d, want those that are configured", got)
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'"} {
		if got := shellQuote(in); got != want {
			t.Errorf("shellQuote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestOwnHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "localhost:4580": true, "127.0.0.1:1": true, "[::1]:2": true, "x.localhost": true,
		"evil.example": false, "evil.example:4580": false, "127.0.0.1.evil.example": false, "glaux.lan:1": true, "": false,
	} {
		if got := ownHost(host, "glaux.lan:4580"); got != want {
			t.Errorf("ownHost(%q) = %v", host, got)
		}
	}
}

// TestRouting: what a request is decides where it goes, not what it looks like.
func TestRouting(t *testing.T) {
	c := testConfig(t, t.TempDir())
	c.S3.Hosts = []string{"glaux.lan"}
	r := mustStart(t, c)
	for _, x := range []struct {
		method, host, path, kind string
		status                   int
		text                     string
	}{
		{"GET", "localhost", "/_glaux/health", "", 200, `"ok"`},
		{"GET", "glaux.lan", "/_glaux/health", "", 200, `"ok"`},
		{"GET", "evil.example", "/_glaux/health", "", 421, "not ours"},
		{"GET", "data.localhost", "/_glaux/health", "", 403, "<Error>"}, // an object of a bucket
		{"GET", "data.glaux.lan", "/_glaux/health", "", 403, "<Error>"},
		{"GET", "localhost", "/data/_glaux/health", "", 403, "<Error>"},
		{"GET", "localhost", "/_glaux", "", 403, "<Error>"},
		{"POST", "localhost", "/", "application/x-amz-json-1.1", 400, "UnknownOperationException"},
		{"POST", "localhost", "/", "application/x-www-form-urlencoded", 400, "MissingAction"},
		{"POST", "data.localhost", "/?delete", "application/x-www-form-urlencoded", 403, "<Error>"},
		{"GET", "localhost", "/?Action=GetCallerIdentity&Version=2011-06-15", "", 403, "MissingAuthenticationToken"},
		{"GET", "data.localhost", "/?Action=x", "", 403, "<Error>"},
	} {
		req, err := http.NewRequest(x.method, r.url+x.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = x.host
		if x.kind != "" {
			req.Header.Set("Content-Type", x.kind)
		}
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(reply.Body)
		reply.Body.Close()
		if reply.StatusCode != x.status || !strings.Contains(string(body), x.text) {
			t.Errorf("%s %s%s: %d %s; want %d %s", x.method, x.host, x.path, reply.StatusCode, body, x.status, x.text)
		}
	}
}

// TestKeysAndMetrics: the key ring lives in the store, and what the metrics
// address answers is not for pages whose name was pointed at it.
func TestKeysAndMetrics(t *testing.T) {
	c := testConfig(t, t.TempDir())
	mustStart(t, c)
	names, err := os.ReadDir(filepath.Join(c.DataDir, "keys"))
	if err != nil || len(names) != 2 {
		t.Errorf("the key directory holds %v, %v; want the master key and the root pair", names, err)
	}
	text, err := os.ReadFile(c.ReadyFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "metrics=")
	address, _, _ := strings.Cut(rest, "\n")
	for host, want := range map[string]int{"": http.StatusOK, "localhost:1": http.StatusOK, "rebound.example": http.StatusMisdirectedRequest} {
		if status, _ := mustGet(t, "http://"+address+"/metrics", host); status != want {
			t.Errorf("metrics answer %d to host %q, want %d", status, host, want)
		}
	}
}

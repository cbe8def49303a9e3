package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"glaux/internal/server"
)

// TestMain is the object server when the server under test starts this program
// as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "object-server" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := server.ObjectServer(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Bool("update", false, "record the replies anew")
	os.Exit(m.Run())
}

// peer is a running server, the keys of its root, and what replies said that
// later requests say again.
type peer struct {
	url         string
	credentials aws.Credentials
	said        map[string]string
}

// mustServe runs a server until the test ends.
func mustServe(t *testing.T) peer {
	t.Helper()
	dir := t.TempDir()
	sockets, err := os.MkdirTemp("", "glw")
	if err != nil {
		t.Fatal(err)
	}
	shim := filepath.Join(dir, "shim") // no session comes further than CREATING here
	if err := os.WriteFile(shim, []byte("#!/bin/sh\nexec sleep 3600\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := server.Config{
		Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "data"), SocketDir: sockets, Shim: shim,
		RuntimeDir: os.Getenv("GLAUX_RUNTIME_DIR"), // without one sessions fail at once
		ReadyFile:  filepath.Join(dir, "ready"), Region: "us-east-1", Account: "000000000000",
		DPU: server.DPU{Cores: 2, Memory: 2048, Heap: 1024}, IdleTimeout: 20 * time.Minute, Orphaned: time.Hour, CredentialLife: time.Hour,
		Retention: time.Hour, MaxOutput: 1 << 20, SessionUIDs: 200000, LogLevel: "error", LogFormat: "text",
	}
	if err := c.Complete(os.Getenv); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var log bytes.Buffer // read once the server has ended
	go func() { done <- server.Run(ctx, c, &log) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("server ended with %v\n%s", err, &log)
		}
		os.RemoveAll(sockets)
	})
	p := peer{said: map[string]string{}}
	for p.url == "" {
		if text, err := os.ReadFile(c.ReadyFile); err == nil {
			p.url, _, _ = strings.Cut(string(text), "\n")
			break
		}
		select {
		case err := <-done:
			done <- err
			t.Fatalf("server ended before it was ready: %v\n%s", err, &log)
		case <-time.After(2 * time.Millisecond):
		}
	}
	var env bytes.Buffer
	if err := server.Env(ctx, c, &env); err != nil {
		t.Fatal(err)
	}
	value := func(name string) string {
		_, rest, _ := strings.Cut(env.String(), "export "+name+"='")
		v, _, _ := strings.Cut(rest, "'\n")
		return v
	}
	p.credentials = aws.Credentials{AccessKeyID: value("AWS_ACCESS_KEY_ID"), SecretAccessKey: value("AWS_SECRET_ACCESS_KEY")}
	p.said["RootKey"] = p.credentials.AccessKeyID
	return p
}

// exchange is one block of a transcript.
type exchange struct {
	comments []string
	request  string // "TARGET [sign=WAY] [type=CONTENT-TYPE] [set=MEMBER]"; a body has $MEMBER where it says that again
	body     string
	reply    string // status line and body as compared
	line     int
}

// mustRead reads a transcript: "#" comments, "> target options", "> body", "< reply".
func mustRead(t *testing.T, path string) []exchange {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []exchange
	var at exchange
	flush := func() {
		if at.request != "" {
			all = append(all, at)
		}
		at = exchange{}
	}
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for n := 1; scan.Scan(); n++ {
		line := scan.Text()
		switch {
		case line == "":
			flush()
		case strings.HasPrefix(line, "#"):
			at.comments = append(at.comments, line)
		case strings.HasPrefix(line, "> ") && at.request == "":
			at.request, at.line = line[2:], n
		case strings.HasPrefix(line, "> "):
			at.body += line[2:]
		case strings.HasPrefix(line, "< "):
			at.reply += line[2:] + "\n"
		default:
			t.Fatalf("%s:%d: cannot read %q", path, n, line)
		}
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	flush()
	return all
}

// Values that differ from run to run.
var volatile = []struct {
	form *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`"(CreationTime|StartDateTime|EndDateTime|LastModifiedDateTime)":[0-9.]+`), `"$1":TIME`},
	{regexp.MustCompile(`"AuthToken":"[A-Za-z0-9_-]+"`), `"AuthToken":"TOKEN"`},
	{regexp.MustCompile(`"AuthTokenExpirationTime":[0-9]+`), `"AuthTokenExpirationTime":TIME`},
	{regexp.MustCompile(`"https://localhost:[0-9]+"`), `"https://localhost:PORT"`},
	{regexp.MustCompile(`\.ui\.localhost:[0-9]+/_glaux/enter\?ticket=[A-Za-z0-9_-]{43}"`), `.ui.localhost:PORT/_glaux/enter?ticket=TICKET"`},
	{regexp.MustCompile(`\b[0-9]{8}T[0-9]{6}Z\b`), "DATE"},
	{regexp.MustCompile(`\b20[0-9]{6}/`), "DAY/"},
	{regexp.MustCompile(`\bAKIA[A-Z2-7]{16}\b`), "ROOTKEY"},
	{regexp.MustCompile(`"NextToken":"[A-Za-z0-9_-]+"`), `"NextToken":"TOKEN"`},
	{regexp.MustCompile(`\bASIA[A-Z2-7]{16}\b`), "TEMPORARYKEY"},
	{regexp.MustCompile(`<(SecretAccessKey|SessionToken)>[^<]+<`), `<$1>SECRET<`},
	{regexp.MustCompile(`<Expiration>[0-9TZ:.-]+<`), `<Expiration>TIME<`},
	{regexp.MustCompile(`'[0-9a-f]{64}'`), "'HASH'"},
	{regexp.MustCompile(`"((?:creation|ingestion|lastIngestion)Time|timestamp|(?:first|last)EventTimestamp)":[0-9]+`), `"$1":TIME`},
	{regexp.MustCompile(`"(next(?:Forward|Backward|Sequence)?Token|uploadSequenceToken|eventId)":"[A-Za-z0-9_-]+"`), `"$1":"TOKEN"`},
}

// send performs the request of an exchange and returns the reply as compared.
func (p peer) send(t *testing.T, x exchange) string {
	t.Helper()
	words := strings.Fields(x.request)
	target, options := words[0], map[string]string{"sign": "root", "type": "application/x-amz-json-1.1"}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		options[name] = value
	}
	body := strings.ReplaceAll(x.body, "LONG", strings.Repeat("x", 70000))
	body = strings.ReplaceAll(body, "HUGE", strings.Repeat("x", 600000))
	for word, after := range map[string]time.Duration{"NOW": 0, "AGO": -20 * 24 * time.Hour, "SOON": 3 * time.Hour, "YESTERDAY": -30 * time.Hour} { // milliseconds
		body = strings.ReplaceAll(body, word, strconv.FormatInt(time.Now().Add(after).UnixMilli(), 10))
	}
	for name, value := range p.said {
		body = strings.ReplaceAll(body, "$"+name, value)
	}
	r, err := http.NewRequest(http.MethodPost, p.url+"/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	service := "athena"
	if strings.HasPrefix(target, "AWSGlue.") {
		service = "glue"
	}
	if strings.HasPrefix(target, "Logs_20140328.") {
		service = "logs"
	}
	if target == "query" {
		service = "sts"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r.Header.Set("Content-Type", options["type"])
		r.Header.Set("X-Amz-Target", target)
	}
	p.sign(t, r, options["sign"], service, body)
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Header.Get("X-Amzn-Requestid") == "" {
		t.Errorf("line %d: the reply has no request id", x.line)
	}
	if name := options["set"]; name != "" {
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatalf("line %d: cannot read the reply: %v", x.line, err)
		}
		p.said[name], _ = members[name].(string)
	}
	out := fmt.Sprintf("%d %s\n%s", reply.StatusCode, reply.Header.Get("Content-Type"), strings.TrimRight(string(text), "\n"))
	for _, v := range volatile {
		out = v.form.ReplaceAllString(out, v.with)
	}
	return strings.TrimRight(out, "\n") + "\n"
}

// sign signs the request in the way a transcript asks for.
func (p peer) sign(t *testing.T, r *http.Request, way, service, body string) {
	t.Helper()
	keys, at, region := p.credentials, time.Now(), "us-east-1"
	hash := sha256.Sum256([]byte(body))
	switch way {
	case "none":
		return
	case "garbage":
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 nothing of use")
		return
	case "basic":
		r.SetBasicAuth("user", "password")
		return
	case "wrong-secret":
		keys.SecretAccessKey = strings.Repeat("x", 40)
	case "unknown-key":
		keys.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA"
	case "foreign-token":
		keys.SessionToken = "not one of ours"
	case "old":
		at = at.Add(-time.Hour)
	case "early":
		at = at.Add(time.Hour)
	case "other-service":
		service = "dynamodb"
	case "other-body":
		hash = sha256.Sum256([]byte("another body"))
	case "root":
	default:
		t.Fatalf("cannot sign %q", way)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, r, hex.EncodeToString(hash[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
}

func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	update := flag.Lookup("update").Value.String() == "true"
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			p := mustServe(t)
			var anew strings.Builder
			for _, x := range mustRead(t, path) {
				got := p.send(t, x)
				for _, c := range x.comments {
					fmt.Fprintln(&anew, c)
				}
				fmt.Fprintf(&anew, "> %s\n", x.request)
				if x.body != "" {
					fmt.Fprintf(&anew, "> %s\n", x.body)
				}
				for line := range strings.Lines(got) {
					fmt.Fprintf(&anew, "< %s", line)
				}
				anew.WriteString("\n")
				if !update && got != x.reply {
					t.Errorf("%s:%d: %s\nhave %swant %s", path, x.line, x.request, got, x.reply)
				}
			}
			if update {
				if err := os.WriteFile(path, []byte(strings.TrimRight(anew.String(), "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

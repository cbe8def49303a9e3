package ui

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glaux/internal/access"
	"glaux/internal/engine"
	"glaux/internal/fault"
)

// fake is an authenticator and the calculations c1, whose stdout is a pipe,
// broken, and denied.
type fake struct{ stdout *io.PipeReader }

func (fake) Authenticate(r *http.Request, _ []byte, service string) (access.Caller, error) {
	if r.Header.Get("Authorization") == "" || service != "athena" {
		return access.Caller{}, fault.New(fault.Unauthorized, "Missing Authentication Token")
	}
	return access.Caller{}, nil
}

func (f fake) Output(_ context.Context, _ access.Caller, id string, s engine.Stream, offset int64) (io.ReadCloser, error) {
	switch id {
	case "c1":
		if s == engine.Stdout {
			return f.stdout, nil
		}
		return io.NopCloser(strings.NewReader("careful"[offset:])), nil
	case "cut":
		return io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{})), nil
	case "broken":
		return nil, errors.New("secret")
	case "denied":
		return nil, fault.New(fault.Denied, "no")
	}
	return nil, fault.Invalidf("Calculation execution %s is not found.", id)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection lost") }

func serve(t *testing.T) (url string, stdout *io.PipeWriter) {
	t.Helper()
	r, w := io.Pipe()
	mux := http.NewServeMux()
	f := fake{r}
	mux.Handle(OutputPath, Output(f, f, slog.New(slog.DiscardHandler)))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/_glaux/calculations/", w
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "signed")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Body.Close() })
	return r
}

func TestOutputArrivesWhileItIsWritten(t *testing.T) {
	t.Parallel()
	url, stdout := serve(t)
	r := get(t, url+"c1/stdout")
	lines := bufio.NewReader(r.Body)
	for _, line := range []string{"one\n", "two\n"} {
		if _, err := io.WriteString(stdout, line); err != nil {
			t.Fatal(err)
		}
		if got, err := lines.ReadString('\n'); err != nil || got != line {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	stdout.Close()
	if rest, err := io.ReadAll(lines); err != nil || len(rest) != 0 {
		t.Errorf("then read %q, %v", rest, err)
	}
	if r.Header.Get("Content-Security-Policy") != "sandbox" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", r.Header)
	}
}

func TestOutputAnswers(t *testing.T) {
	t.Parallel()
	url, _ := serve(t)
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"c1/stderr":           {200, "careful"},
		"c1/stderr?offset=4":  {200, "ful"},
		"c1/stderr?offset=-1": {400, "offset is not a number of bytes.\n"},
		"c1/stdin":            {404, "There is no stream stdin; there are stdout, stderr and displays.\n"},
		"nope/stdout":         {400, "Calculation execution nope is not found.\n"},
		"denied/stdout":       {403, "no\n"},
		"broken/stdout":       {500, "internal failure\n"},
	} {
		r := get(t, url+path)
		body, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != want.status || string(body) != want.body {
			t.Errorf("%s: %d %q, %v", path, r.StatusCode, body, err)
		}
	}
	if _, err := io.ReadAll(get(t, url+"cut/stdout").Body); err == nil {
		t.Error("a reply that was cut off looks whole")
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"c1/stderr", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("without a signature: %d", r.StatusCode)
	}
}

package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// variable is one line of "glaux env".
type variable struct{ Name, Value string }

// controlHandler serves the control socket, which only the user of the server
// can open. A stop that has begun goes on when whoever asked for it is gone,
// because from then on the server takes no sessions; it ends with work.
func (s *Server) controlHandler(work context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.environment())
	})
	mux.HandleFunc("POST /stop", func(w http.ResponseWriter, _ *http.Request) {
		err := s.parts.sessions.EndAll(work, func(line string) {
			fmt.Fprintln(w, line)
			_ = http.NewResponseController(w).Flush() // the peer has gone: the stop goes on
		})
		if err != nil {
			fmt.Fprintf(w, "error: %v\n", err)
			return
		}
		fmt.Fprintln(w, "ok")
		s.stopOnce.Do(s.stop)
	})
	return mux
}

// environment returns what a client needs to talk to this server as root.
func (s *Server) environment() []variable {
	root := s.parts.root()
	all := []variable{
		{"AWS_ENDPOINT_URL", s.base},
		{"AWS_ACCESS_KEY_ID", root.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", root.SecretAccessKey},
		{"AWS_DEFAULT_REGION", s.cfg.Region},
		{"AWS_REGION", s.cfg.Region},
		{"AWS_EC2_METADATA_DISABLED", "true"},
		{"AWS_ALLOW_HTTP", "true"},
	}
	if s.connect != nil {
		all = append(all, variable{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", s.rootsFile()})
	}
	return all
}

// shellQuote makes any text one word of a POSIX shell.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// errNotRunning means that no server uses the data directory.
var errNotRunning = errors.New("no server runs")

// controlClient finds the running server of the data directory.
func controlClient(c *Config) (*http.Client, error) {
	p := newPlace(c)
	if _, err := os.Stat(p.data); err != nil {
		return nil, fmt.Errorf("%w on %s: %w", errNotRunning, p.data, err)
	}
	lock, err := p.lock()
	if err == nil {
		lock.Close()
		return nil, fmt.Errorf("%w on %s; start one with: glaux serve --data-dir %s", errNotRunning, p.data, shellQuote(p.data))
	}
	if !errors.Is(err, errRunning) {
		return nil, err
	}
	r, err := p.readRunning()
	if err != nil {
		return nil, fmt.Errorf("the server on %s is not ready yet: %w", p.data, err)
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", r.Control)
		},
	}}, nil
}

// Env writes the exports of the running server, one per line, as a POSIX
// shell reads them. It fails, saying so, when no server runs.
func Env(ctx context.Context, c Config, out io.Writer) error {
	client, err := controlClient(&c)
	if err != nil {
		return fmt.Errorf("cannot print the environment: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://control/env", nil)
	if err != nil {
		return err
	}
	reply, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask the server: %w", err)
	}
	defer reply.Body.Close()
	var vars []variable
	if err := json.NewDecoder(reply.Body).Decode(&vars); err != nil {
		return fmt.Errorf("cannot read the server's answer: %w", err)
	}
	for _, v := range vars {
		if _, err := fmt.Fprintf(out, "export %s=%s\n", v.Name, shellQuote(v.Value)); err != nil {
			return err
		}
	}
	return nil
}

// Stop ends all sessions and the server of the data directory, and returns
// once both are gone. Where no server runs it ends the sessions that one left.
func Stop(ctx context.Context, c Config, out io.Writer) error {
	client, err := controlClient(&c)
	if errors.Is(err, errNotRunning) {
		return stopLeft(ctx, c, out)
	}
	if err != nil {
		return fmt.Errorf("cannot stop: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://control/stop", nil)
	if err != nil {
		return err
	}
	reply, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask the server to stop: %w", err)
	}
	defer reply.Body.Close()
	done := false
	for lines := bufio.NewScanner(reply.Body); lines.Scan(); {
		if lines.Text() == "ok" {
			done = true
			continue
		}
		fmt.Fprintln(out, lines.Text())
	}
	if !done {
		return errors.New("cannot stop: the server did not end all sessions")
	}
	if err := waitUnlocked(ctx, newPlace(&c)); err != nil {
		return err
	}
	fmt.Fprintln(out, "the server has ended")
	return nil
}

// waitUnlocked returns once no server holds the place.
func waitUnlocked(ctx context.Context, p place) error {
	ctx, cancel := context.WithTimeout(ctx, 2*drain+20*time.Second)
	defer cancel()
	for {
		lock, err := p.lock()
		if err == nil {
			return lock.Close()
		}
		if !errors.Is(err, errRunning) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server has not ended yet: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stopLeft ends the sessions that a server which no longer runs left behind.
func stopLeft(ctx context.Context, c Config, out io.Writer) error {
	p := newPlace(&c)
	if _, err := os.Stat(p.database()); errors.Is(err, syscall.ENOENT) {
		fmt.Fprintf(out, "no server runs on %s, and it holds no sessions\n", p.data)
		return nil
	}
	s := &Server{cfg: c, place: p, log: newLogger(&c, out), out: out, ready: newReadiness(), meter: newMeter()}
	if err := p.make(); err != nil {
		return err
	}
	lock, err := p.lock()
	if err != nil {
		return fmt.Errorf("cannot stop: %w", err)
	}
	defer lock.Close()
	return s.endLeft(ctx)
}

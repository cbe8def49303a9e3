package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// server is a running glaux with its data directory.
type server struct {
	o    options
	dir  string
	url  string
	cmd  *exec.Cmd
	up   time.Duration // from exec to the ready file
	cred aws.Credentials
}

// startServer starts the binary over the data directory and waits for its ready file.
func startServer(ctx context.Context, o options, dir string, args ...string) (*server, error) {
	ready := filepath.Join(dir, "ready")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	cmd := exec.Command(o.glaux, append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--ready-file", ready, "--metrics-listen", "127.0.0.1:0"}, unpooled(args)...)...)
	cmd.Env = append(os.Environ(), "GLAUX_RUNTIME_DIR="+o.runtime)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{o: o, dir: dir, cmd: cmd}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(ready)
		if err == nil {
			s.up = time.Since(began)
			s.url, _, _ = strings.Cut(string(text), "\n")
			break
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), cmd.Process.Kill())
		case <-tick.C:
		}
		if time.Since(began) > time.Minute {
			return nil, errors.Join(errors.New("server wrote no ready file within a minute"), cmd.Process.Kill())
		}
	}
	return s, s.credentials(ctx)
}

// unpooled keeps drivers that nobody asked for out of what is measured, unless
// they are what is.
func unpooled(args []string) []string {
	if slices.Contains(args, "--pool-max") {
		return args
	}
	return append(slices.Clone(args), "--pool-max", "0")
}

// credentials reads the root key pair from "glaux env".
func (s *server) credentials(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, s.o.glaux, "env", "--data-dir", s.dir).Output()
	if err != nil {
		return fmt.Errorf("glaux env: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		switch value = strings.Trim(value, "'"); name {
		case "AWS_ACCESS_KEY_ID":
			s.cred.AccessKeyID = value
		case "AWS_SECRET_ACCESS_KEY":
			s.cred.SecretAccessKey = value
		}
	}
	return nil
}

// stop ends the server alone (SIGTERM) and waits for it.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// stopAll ends the sessions and the server.
func (s *server) stopAll() error {
	out, err := exec.Command(s.o.glaux, "stop", "--data-dir", s.dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("glaux stop: %w: %s", err, out)
	}
	return s.cmd.Wait()
}

// rss returns the resident memory of the server process in MiB.
func (s *server) rss() (float64, error) { return s.memory("VmRSS") }

// memory returns one of the sizes in the server's process status, in MiB.
func (s *server) memory(name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, name+": %f kB", &kib); n == 1 {
			return kib / 1024, nil
		}
	}
	return 0, errors.New("no " + name + " in the process status")
}

// athena returns an SDK client of the server, without retries.
func (s *server) athena() *athena.Client {
	return athena.New(athena.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.url), Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{},
		Credentials: credentials.StaticCredentialsProvider{Value: s.cred},
	})
}

// glue returns an SDK client of the server that does not retry.
func (s *server) glue() *glue.Client {
	return glue.New(glue.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.url), Retryer: aws.NopRetryer{}, HTTPClient: whole{&http.Client{}},
		Credentials: credentials.StaticCredentialsProvider{Value: s.cred},
	})
}

// whole is an HTTP client whose answers are read before they are returned. The
// SDK closes the body of a request once it has the head of the answer, and now
// and then that is before the connection has noted that all of it was sent: it
// is closed then, and with it what is left of an answer of several reads.
type whole struct{ *http.Client }

// Do implements aws.HTTPClient.
func (c whole) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.Client.Do(r)
	if err != nil {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// s3 returns an SDK client of the server's object store.
func (s *server) s3() *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.url), UsePathStyle: true,
		Credentials: credentials.StaticCredentialsProvider{Value: s.cred},
	})
}

// fresh returns a measurement with a server of its own, which is started with
// args, and without a pool unless they say otherwise.
func fresh(measure func(context.Context, *server) ([]row, error), args ...string) func(context.Context, options) ([]row, error) {
	return func(ctx context.Context, o options) ([]row, error) {
		dir, err := os.MkdirTemp("", "glaux-bench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		if !slices.Contains(args, "--pool-max") {
			args = append([]string{"--pool-max", "0"}, args...)
		}
		s, err := startServer(ctx, o, dir, args...)
		if err != nil {
			return nil, err
		}
		defer s.stopAll() //nolint:errcheck // the measurement is done; a leftover is reported by the next start
		return measure(ctx, s)
	}
}

// measureStart times server starts over an existing data directory and reads its idle memory.
func measureStart(ctx context.Context, o options) ([]row, error) {
	dir, err := os.MkdirTemp("", "glaux-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s, err := startServer(ctx, o, dir, "--pool-max", "0")
	if err != nil {
		return nil, err
	}
	first := s.up
	if err := s.stop(); err != nil {
		return nil, err
	}
	var ups []time.Duration
	var rss float64
	for range o.runs {
		if s, err = startServer(ctx, o, dir, "--pool-max", "0"); err != nil {
			return nil, err
		}
		ups = append(ups, s.up)
		if rss, err = s.rss(); err != nil {
			return nil, err
		}
		if err := s.stop(); err != nil {
			return nil, err
		}
	}
	return []row{
		{"server start to ready, existing data directory (median)", ms(median(ups)), "first start " + ms(first), "", "≤ 150 ms"},
		{"resident memory of the idle server", fmt.Sprintf("%.0f MB", rss*1.048576), "", "", "≤ 80 MB"},
	}, nil
}

package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"glaux/internal/shim"
)

// uiWithin bounds how long the JVM may take to show its UI: the first time it
// makes it.
const uiWithin = 30 * time.Second

// uiAnswer is what the JVM says when it is asked for its UI.
type uiAnswer struct {
	port int
	why  string // why there is none; empty when there is
}

// uiPort asks the JVM for the loopback port of its UI, each time: the user's
// code may have stopped one SparkContext and started another.
func (s *Supervisor) uiPort(ctx context.Context) (int, error) {
	answer := make(chan uiAnswer, 1)
	s.mu.Lock()
	j, exit := s.jvm, s.exit
	s.lastAsk++
	n := s.lastAsk
	if s.asking == nil {
		s.asking = map[int64]chan<- uiAnswer{}
	}
	s.asking[n] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.asking, n)
		s.mu.Unlock()
	}()
	if j == nil || exit != nil {
		return 0, errors.New("the driver does not run")
	}
	j.command(frame{"op": "ui", "n": n})
	limit := time.NewTimer(uiWithin)
	defer limit.Stop()
	select {
	case a := <-answer:
		if a.why != "" {
			return 0, errors.New(a.why)
		}
		return a.port, nil
	case <-limit.C:
		return 0, fmt.Errorf("the driver did not show its UI within %v", uiWithin)
	case <-s.ending:
		return 0, errors.New("the driver is ending")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// uiTold hands an answer of the JVM to whoever asked.
func (s *Supervisor) uiTold(e *event) {
	a := uiAnswer{port: e.Port}
	if e.Ev == "uiFailed" {
		a.why = e.text()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if to := s.asking[e.N]; to != nil {
		delete(s.asking, e.N)
		to <- a // it has room for one
	}
}

// dial connects to a service of the driver and returns the socket. The error
// is for people.
func (s *Supervisor) dial(ctx context.Context, service string) (*os.File, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	switch service {
	case serviceConnect:
		got, err := s.dialConnect(ctx)
		if _, never := errors.AsType[unservedError](err); never {
			return nil, err
		}
		if err != nil {
			return nil, errors.New("cannot connect to " + filepath.Base(s.spec.Connect))
		}
		defer got.Close()
		return got.(*net.UnixConn).File()
	case serviceUI:
		port, err := s.uiPort(ctx)
		if err != nil {
			return nil, err
		}
		got, err := d.DialContext(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, errors.New("cannot connect to the Spark UI")
		}
		defer got.Close()
		return got.(*net.TCPConn).File()
	}
	return nil, errNoService
}

// The services one can dial, as package engine names them.
const (
	serviceConnect = "connect"
	serviceUI      = "ui"
)

// errNoService is returned by dial for a service that no driver has.
var errNoService = errors.New("there is no such service")

// isGone says whether the record of the driver's end is on disk. We may still
// answer for a moment.
func (s *Supervisor) isGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// answerDial connects to a service and passes the socket.
func (s *Supervisor) answerDial(ctx context.Context, conn *net.UnixConn, q shim.Request) {
	f, err := s.dial(ctx, q.Service)
	never, unserved := errors.AsType[unservedError](err)
	switch {
	case unserved:
		_ = reply(conn, shim.Reply{Code: shim.Unserved, Text: string(never)})
		return
	case errors.Is(err, errNoService):
		_ = reply(conn, shim.Reply{Code: shim.Bad, Text: fmt.Sprintf("there is no service %q", q.Service)})
		return
	case err != nil && s.isGone():
		_ = reply(conn, shim.Reply{Code: shim.Gone, Text: "the driver is gone"})
		return
	case err != nil:
		_ = reply(conn, shim.Reply{Code: shim.Failed, Text: err.Error()})
		return
	}
	defer f.Close()
	conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if err := shim.SendFile(conn, shim.Reply{Version: shim.Version}, f); err != nil {
		s.log.Warn("cannot pass a socket", "error", err)
	}
}

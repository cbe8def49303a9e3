package supervise

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"glaux/internal/shim"
)

// maxConns bounds the connections of servers at one time.
const maxConns = 256

// serve answers servers until ctx ends, then gives what is open a moment to
// hear of the end.
func (s *Supervisor) serve(ctx context.Context, l net.Listener) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxConns)
	wg.Go(func() {
		<-ctx.Done()
		l.Close()
	})
	ends, cancel := context.WithCancel(context.WithoutCancel(ctx)) // a moment longer than ctx
	defer cancel()
	wg.Go(func() {
		<-ctx.Done()
		select {
		case <-time.After(time.Second):
			cancel()
		case <-ends.Done():
		}
	})
	var conns sync.WaitGroup
	for {
		slots <- struct{}{}
		conn, err := l.Accept()
		if err != nil {
			<-slots
			if ctx.Err() != nil {
				break
			}
			time.Sleep(10 * time.Millisecond) // out of files: those that are open will go
			continue
		}
		conns.Go(func() {
			defer func() { <-slots }()
			s.serveConn(ends, conn.(*net.UnixConn))
		})
	}
	conns.Wait()
	cancel()
	wg.Wait()
}

// serveConn answers one request.
func (s *Supervisor) serveConn(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	if err := allowed(conn); err != nil {
		s.log.Warn("refused a connection", "error", err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	var q shim.Request
	if err := shim.ReadFrame(conn, &q); err != nil {
		return
	}
	conn.SetReadDeadline(time.Time{})
	if code, text := s.admit(q); code != "" {
		_ = reply(conn, shim.Reply{Code: code, Text: text})
		return
	}
	defer s.left()
	if q.Op == shim.OpWatch || q.Op == shim.OpResult || q.Op == shim.OpOutput || q.Op == shim.OpLog {
		// These block; a server that goes away must be noticed meanwhile.
		var wg sync.WaitGroup
		defer wg.Wait()
		defer conn.Close()
		wg.Go(func() {
			var b [1]byte
			_, _ = conn.Read(b[:]) // returns when the server closes: it sends nothing more
			cancel()
		})
	}
	s.answer(ctx, conn, q)
}

// allowed refuses everyone but root and our own user.
func allowed(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	uid := -1
	if cerr := raw.Control(func(fd uintptr) { uid, err = peerUID(int(fd)) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("cannot tell who connects: %w", err)
	}
	if uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("uid %d may not speak to this shim", uid)
	}
	return nil
}

// admit checks version and epoch and counts the server in.
func (s *Supervisor) admit(q shim.Request) (shim.Code, string) {
	if q.Version != shim.Version {
		return shim.Mismatch, fmt.Sprintf("this shim speaks version %d", shim.Version)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.Epoch < s.epoch {
		return shim.Stale, fmt.Sprintf("epoch %d owns this driver", s.epoch)
	}
	if q.Epoch > s.epoch {
		s.epoch = q.Epoch
		s.tellLocked() // those of the older epoch look and leave
	}
	s.servers++
	return "", ""
}

func (s *Supervisor) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers--
	s.idle = time.Now()
}

func reply(conn *net.UnixConn, r shim.Reply) error {
	r.Version = shim.Version
	conn.SetWriteDeadline(time.Now().Add(30 * time.Second)) // a server that does not read is none
	return shim.WriteFrame(conn, r)
}

// answer carries out one admitted request.
func (s *Supervisor) answer(ctx context.Context, conn *net.UnixConn, q shim.Request) {
	var r shim.Reply
	switch q.Op {
	case shim.OpStatus:
		s.mu.Lock()
		st := s.status
		s.mu.Unlock()
		r.Status = &st
	case shim.OpWatch:
		s.answerWatch(ctx, conn, q)
		return
	case shim.OpClaim:
		r = s.answerClaim(q.Claim)
	case shim.OpRun:
		r.Code, r.Text = s.runCell(q.Cell, q.Code)
	case shim.OpResult:
		r = s.answerResult(ctx, q)
	case shim.OpInterrupt:
		r.Code = s.interrupt(q.Cell)
	case shim.OpOutput:
		s.answerOutput(ctx, conn, q)
		return
	case shim.OpLog:
		s.answerLog(ctx, conn, q)
		return
	case shim.OpDiscard:
		r.Code = s.discard(q.Cell)
	case shim.OpDial:
		s.answerDial(ctx, conn, q)
		return
	case shim.OpStop:
		s.asked(q.Force)
	default:
		r.Code, r.Text = shim.Bad, fmt.Sprintf("there is no operation %q", q.Op)
	}
	if ctx.Err() == nil {
		_ = reply(conn, r) // who does not listen has gone
	}
}

// answerWatch sends the status now and after every change; changes that come
// while one is being sent become one.
func (s *Supervisor) answerWatch(ctx context.Context, conn *net.UnixConn, q shim.Request) {
	for {
		s.mu.Lock()
		st, changed, stale := s.status, s.changed, q.Epoch < s.epoch
		s.mu.Unlock()
		r := shim.Reply{Status: &st}
		if stale {
			r = shim.Reply{Code: shim.Stale}
		}
		if reply(conn, r) != nil || stale || st.Phase == shim.PhaseGone {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// answerResult waits for a cell's record.
func (s *Supervisor) answerResult(ctx context.Context, q shim.Request) shim.Reply {
	for {
		s.mu.Lock()
		c, changed, stale := s.cells[q.Cell], s.changed, q.Epoch < s.epoch
		var rec *shim.Record
		if c != nil {
			rec = c.record
		}
		s.mu.Unlock()
		switch {
		case stale:
			return shim.Reply{Code: shim.Stale}
		case c == nil:
			return shim.Reply{Code: shim.NoCell}
		case rec != nil:
			return shim.Reply{Record: rec}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return shim.Reply{Code: shim.Failed, Text: "the connection ended"}
		}
	}
}

// answerOutput follows a cell's stream.
func (s *Supervisor) answerOutput(ctx context.Context, conn *net.UnixConn, q shim.Request) {
	s.mu.Lock()
	c := s.cells[q.Cell]
	s.mu.Unlock()
	if c == nil {
		_ = reply(conn, shim.Reply{Code: shim.NoCell})
		return
	}
	sp := c.spools[q.Stream]
	if sp == nil || q.Offset < 0 {
		_ = reply(conn, shim.Reply{Code: shim.Bad, Text: fmt.Sprintf("there is no stream %q", q.Stream)})
		return
	}
	if reply(conn, shim.Reply{}) != nil {
		return
	}
	conn.SetWriteDeadline(time.Time{}) // a reader may take its time: the spool is on disk
	err := sp.Follow(ctx, q.Offset, conn)
	if err == nil { // its end is told only once the record of it is there
		select {
		case <-c.ended:
		case <-ctx.Done():
		}
		return
	}
	if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		s.log.Warn("cannot send output", "cell", q.Cell, "error", err)
	}
}

// answerLog follows one of the driver's streams.
func (s *Supervisor) answerLog(ctx context.Context, conn *net.UnixConn, q shim.Request) {
	j := s.logs[q.Stream]
	if j == nil || q.Offset < 0 {
		_ = reply(conn, shim.Reply{Code: shim.Bad, Text: fmt.Sprintf("the driver has no stream %q", q.Stream)})
		return
	}
	if first := j.First(); q.Offset < first {
		_ = reply(conn, shim.Reply{Code: shim.Trimmed, First: first})
		return
	}
	if reply(conn, shim.Reply{}) != nil {
		return
	}
	conn.SetWriteDeadline(time.Time{}) // a reader may take its time: the journal is on disk, and bounded
	err := j.Follow(ctx, q.Offset, conn)
	if err == nil { // its end is told only once the record of the driver's is there
		s.awaitGone(ctx)
		return
	}
	// A reader that was too slow asks again and is told what it missed.
	if _, slow := errors.AsType[*TrimmedError](err); !slow && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("cannot send a log", "stream", q.Stream, "error", err)
	}
}

// awaitGone returns once the driver's end is on disk, or ctx ends.
func (s *Supervisor) awaitGone(ctx context.Context) {
	for {
		s.mu.Lock()
		gone, changed := s.gone, s.changed
		s.mu.Unlock()
		if gone {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

package delivery

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"glaux/internal/engine"
)

// Times of a lane.
const (
	retryFirst   = 200 * time.Millisecond // after a target did not take a batch, doubled each time
	retryMost    = 15 * time.Second
	refusedEvery = time.Minute // after a target refused one: a person may mend it
	attempt      = time.Minute // what one may take
	readAgain    = 250 * time.Millisecond
	readSize     = 32 << 10
	keepAtLeast  = 10 * time.Minute // by a server that comes late, which may be there before the target is
)

// lane carries one stream of a driver to one target.
type lane struct {
	f      *following
	source engine.LogSource
	to     target
	log    *slog.Logger

	since atomic.Int64 // when the oldest line that waits came, Unix nanoseconds; zero: none does
}

// piece is something that was read.
type piece struct {
	bytes []byte
	skip  int64 // where the stream goes on behind a gap; zero: there is none
	again bool  // it goes on at the last end of a record
}

// serve runs the lane to the stream's end, or until ctx ends.
func (l *lane) serve(ctx context.Context, driver engine.Logger) {
	defer l.since.Store(0)
	if err := l.f.allowed(ctx, l.to); err != nil {
		l.give(ctx, denial(err), err)
		return
	}
	var from int64
	begun := l.try(ctx, attempt, func(ctx context.Context) (err error) {
		from, err = l.to.start(ctx)
		return err
	})
	if !begun {
		return
	}
	l.since.Store(0)
	read, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	pieces := make(chan piece) // not buffered: while nothing is taken, nothing is read
	reading.Go(func() {
		defer close(pieces)
		l.read(read, driver, from, pieces)
	})
	l.carry(ctx, newGatherer(from, l.f.hidden), pieces)
}

// carry makes batches of what is read and delivers them.
func (l *lane) carry(ctx context.Context, g *gatherer, pieces <-chan piece) {
	most, wait := l.to.limits()
	timer := time.NewTimer(wait)
	timer.Stop()
	defer timer.Stop()
	waiting := false
	for {
		ended, due := false, false
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			due = true
		case p, ok := <-pieces:
			switch {
			case !ok && ctx.Err() != nil:
				return
			case !ok:
				g.finish()
				ended = true
			case p.again:
				g.restart()
			case p.skip > 0:
				l.f.m.sum.dropped(l.to.kind(), p.skip-g.at)
				g.skip(p.skip)
			default:
				g.add(p.bytes)
			}
		}
		if !g.b.empty() {
			l.since.CompareAndSwap(0, g.b.lines[0].time.UnixNano())
		}
		switch {
		case ended || due || g.b.bytes >= most:
			waiting = false
			timer.Stop()
			if b := g.take(); !b.empty() && !l.deliver(ctx, b) {
				return
			}
			l.since.Store(0)
			if ended {
				return
			}
		case !waiting && !g.b.empty():
			waiting = true
			timer.Reset(wait)
		}
	}
}

// deliver delivers a batch, trying until that works, and reports whether it did.
func (l *lane) deliver(ctx context.Context, b batch) bool {
	if !l.try(ctx, attempt, func(ctx context.Context) error { return l.to.put(ctx, b) }) {
		return false
	}
	l.f.m.sum.delivered(l.to.kind(), len(b.lines), b.bytes)
	return true
}

// try does something with the target, which may take so long at most, until
// that works. It gives up, and says so, when the driver is gone and the target
// either refuses or has been down for too long; and quietly when ctx ends.
func (l *lane) try(ctx context.Context, most time.Duration, do func(context.Context) error) bool {
	told, wait, keep := "", retryFirst, l.f.m.cfg.Keep
	var since time.Time // when the driver was first seen to be gone, by this server
	for {
		gone := l.f.hasGone()
		if gone && since.IsZero() {
			since, wait = time.Now(), retryFirst
		}
		once, cancel := context.WithTimeout(ctx, most)
		err := do(once)
		cancel()
		switch {
		case err == nil:
			if told != "" {
				l.log.InfoContext(ctx, "logs are delivered again", "to", l.to.place())
			}
			return true
		case ctx.Err() != nil:
			return false
		}
		l.f.m.sum.failed(l.to.kind())
		l.since.CompareAndSwap(0, time.Now().UnixNano()) // before anything was read, too
		why, pause := refusal(err), wait
		if why != "" {
			pause = refusedEvery
		}
		switch {
		case gone && why != "":
			l.give(ctx, why, err)
			return false
		case gone && time.Since(l.f.goneAt) >= keep && time.Since(since) >= min(keep, keepAtLeast):
			l.give(ctx, "the target was down for too long", err)
			return false
		case told == "" || why != "" && told != why:
			l.log.WarnContext(ctx, "cannot deliver logs, trying again", "to", l.to.place(), "why", why, "cause", err)
			if why != "" {
				l.f.notice(ctx, l.to, why+"; it is tried again every minute")
			}
		}
		if told = why; told == "" {
			told = "down"
		}
		if l.f.pause(ctx, pause, gone) != nil {
			return false
		}
		wait = min(2*wait, retryMost)
	}
}

// give ends the lane without the rest.
func (l *lane) give(ctx context.Context, why string, err error) {
	if ctx.Err() != nil {
		return
	}
	l.f.m.sum.gaveUp(l.to.kind())
	l.log.ErrorContext(ctx, "logs of the session will not be delivered", "to", l.to.place(), "why", why, "cause", err)
	l.f.notice(ctx, l.to, why+"; what is missing will not be delivered")
}

// read hands on what the driver's stream has, to its end.
func (l *lane) read(ctx context.Context, driver engine.Logger, at int64, to chan<- piece) {
	send := func(p piece) bool {
		select {
		case to <- p:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for told := false; ctx.Err() == nil; {
		n, err := l.readOn(ctx, driver, at, send)
		at += n
		if trimmed, ok := errors.AsType[*engine.TrimmedError](err); ok {
			if at = trimmed.First; !send(piece{skip: at}) {
				return
			}
			continue
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF), errors.Is(err, engine.ErrGone), errors.Is(err, engine.ErrStale):
			return
		case errors.Is(err, engine.ErrNoLog):
			l.log.WarnContext(ctx, "the driver is of an older version and shows no logs")
			return
		case !told:
			told = true
			l.log.WarnContext(ctx, "cannot read the driver's log, trying again", "cause", err)
		}
		if !send(piece{again: true}) || l.f.pause(ctx, readAgain, true) != nil {
			return
		}
	}
}

// readOn hands on the stream from an offset, until that fails or ends, and
// returns how many bytes of whole records it handed on.
func (l *lane) readOn(ctx context.Context, driver engine.Logger, at int64, send func(piece) bool) (whole int64, err error) {
	in, err := driver.Log(ctx, l.source, at)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	buf := make([]byte, readSize)
	var read int64
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
				whole = read + int64(i) + 1
			}
			read += int64(n)
			if !send(piece{bytes: bytes.Clone(buf[:n])}) {
				return whole, ctx.Err()
			}
		}
		if err != nil {
			return whole, err
		}
	}
}

// pause waits, less long when the driver goes meanwhile, unless it has gone.
func (f *following) pause(ctx context.Context, d time.Duration, gone bool) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	wake := f.gone
	if gone {
		wake = nil
	}
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Package cell takes one cell of code to its end on a driver, and its output
// to where it is kept: what calculations and statements share.
package cell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"glaux/internal/engine"
)

// Times within a cell's life.
const (
	// settleFor is how long a cell may run before its watcher is told.
	settleFor = 50 * time.Millisecond
	// retryEvery is how long a step waits before it is tried again.
	retryEvery = 100 * time.Millisecond
)

// ErrLeave says that this server is to leave a cell alone: a newer one owns
// the driver.
var ErrLeave = errors.New("left to another server")

// Watcher hears how far a cell has come. Its methods are called one at a time
// and must not block for long.
type Watcher interface {
	// Sending says that the cell is being handed to the driver.
	Sending()
	// Held says that the driver cannot take it yet.
	Held()
	// Handed is called once: the driver has the cell and runs it, or never will.
	Handed(running bool)
	// Lasts is called once, when the cell runs for longer than a moment.
	Lasts(ctx context.Context)
}

// Job is one cell to take to its end.
type Job struct {
	Cell   engine.Cell
	Runner engine.Runner
	Cancel chan struct{} // capacity 1: a token asks for the cell's end
	Noun   string        // what texts call the cell, such as "calculation"
	Watch  Watcher
	Log    *slog.Logger
	// TakeTimeout is how long the driver may refuse to take the cell before
	// that is its end.
	TakeTimeout time.Duration
}

// answer is what Result returned.
type answer struct {
	res engine.CellResult
	err error
}

// Serve has the driver run the cell and returns its result. A cell that the
// driver has taken before is not run again: its result is taken. The error is
// ErrLeave, or that of ctx; the cell goes on then.
func (j *Job) Serve(ctx context.Context) (engine.CellResult, error) {
	res, over, err := j.hand(ctx)
	j.Watch.Handed(!over && err == nil)
	if over || err != nil {
		return res, err
	}

	ctx, cancel := context.WithCancel(ctx)
	var children sync.WaitGroup
	defer children.Wait()
	defer cancel()
	result := make(chan answer, 1)
	children.Go(func() {
		res, err := j.result(ctx)
		result <- answer{res, err}
	})
	late := time.NewTimer(settleFor)
	defer late.Stop()
	for {
		select {
		case a := <-result:
			return a.res, a.err
		case <-late.C:
			j.Watch.Lasts(ctx)
		case <-j.Cancel:
			children.Go(func() { j.interrupt(ctx) })
		}
	}
}

// hand gives the cell to the driver, trying again for a bounded time. over is
// true when res is its result already.
func (j *Job) hand(ctx context.Context) (res engine.CellResult, over bool, err error) {
	res = engine.CellResult{ID: j.Cell.ID}
	select {
	case <-j.Cancel: // before it began, as far as we know
		if j.never(ctx) {
			res.Outcome = engine.Cancelled
			return res, true, nil
		}
		return res, false, nil
	default:
	}
	j.Watch.Sending()
	giveUp := time.Now().Add(j.TakeTimeout)
	for {
		err := j.Runner.Run(ctx, j.Cell)
		switch {
		case err == nil, errors.Is(err, engine.ErrGone):
			return res, false, nil // Result knows what became of it
		case errors.Is(err, engine.ErrStale):
			return res, false, ErrLeave
		case ctx.Err() != nil:
			return res, false, ctx.Err()
		case time.Now().After(giveUp):
			_ = j.Runner.Interrupt(ctx, j.Cell.ID) // it may have been taken all the same
			res.Outcome = engine.Lost
			res.Error = &engine.CellError{Value: fmt.Sprintf("the session's driver did not take the %s (%v)", j.Noun, err)}
			return res, true, nil
		}
		j.Watch.Held()
		again := time.NewTimer(retryEvery)
		select {
		case <-j.Cancel:
			again.Stop()
			if j.never(ctx) {
				res.Outcome = engine.Cancelled
				return res, true, nil
			}
			return res, false, nil
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return res, false, ctx.Err()
		}
	}
}

// never interrupts a cell whose end was asked for before the driver was seen
// to have it, and reports whether the driver does not. Otherwise the token is
// put back, for whoever waits for the result.
func (j *Job) never(ctx context.Context) bool {
	Poke(j.Cancel)
	return errors.Is(j.Runner.Interrupt(ctx, j.Cell.ID), engine.ErrNoCell)
}

// result waits for the result of the cell. One that nobody knows is Lost.
func (j *Job) result(ctx context.Context) (engine.CellResult, error) {
	for {
		res, err := j.Runner.Result(ctx, j.Cell.ID)
		switch {
		case err == nil:
			return res, nil
		case errors.Is(err, engine.ErrStale):
			return res, ErrLeave
		case ctx.Err() != nil:
			return res, ctx.Err()
		case errors.Is(err, engine.ErrGone), errors.Is(err, engine.ErrNoCell):
			return engine.CellResult{ID: j.Cell.ID, Outcome: engine.Lost}, nil
		}
		j.Log.WarnContext(ctx, "cannot wait for a cell, trying again", j.Noun, string(j.Cell.ID), "err", err)
		if err := Pause(ctx, retryEvery); err != nil {
			return res, err
		}
	}
}

// interrupt asks the driver to end the cell until it was heard.
func (j *Job) interrupt(ctx context.Context) {
	for {
		err := j.Runner.Interrupt(ctx, j.Cell.ID)
		if err == nil || errors.Is(err, engine.ErrGone) || errors.Is(err, engine.ErrNoCell) || errors.Is(err, engine.ErrStale) {
			return
		}
		if Pause(ctx, retryEvery) != nil {
			return
		}
	}
}

// Retry runs f until it succeeds or ctx ends, and logs the first failure.
func Retry(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	for n := 0; ; n++ {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if n == 0 {
			log.WarnContext(ctx, "cannot "+what+", trying again", "err", err)
		}
		if err := Pause(ctx, retryEvery); err != nil {
			return err
		}
	}
}

// Pause waits, or returns the error of ctx if that ends first.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Await waits until done is closed, for d at most, and reports whether it is.
// It returns early when ctx ends.
func Await(ctx context.Context, done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// Poke puts a token into a channel of capacity 1 that may hold one already.
func Poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

package calc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"glaux/internal/cell"
	"glaux/internal/engine"
	"glaux/internal/session"
)

// errOver says that a calculation is terminal already.
var errOver = errors.New("calculation is over")

// serve takes one calculation to its end, or to where ctx ends.
func (m *Manager) serve(ctx, work context.Context, j *job) {
	r, err := m.cfg.Sessions.Runner(ctx, j.session)
	var res engine.CellResult
	switch {
	case err == nil:
		res, err = m.serveCell(ctx, r, j)
	case ctx.Err() == nil:
		res, err = engine.CellResult{ID: j.cell.ID, Outcome: engine.Lost}, nil
	}
	if err == nil {
		err = m.finish(work, r, j, res)
	}
	if err != nil {
		m.cfg.Log.DebugContext(ctx, "leaving a calculation to the next server", "calculation", j.id, "why", err)
		return // it stays in jobs: nothing of this server goes on with it
	}
	close(j.settled)
	m.drop(j)
	j.stayForReaders(ctx)
	if r != nil {
		if err := r.Discard(work, j.cell.ID); err != nil && !errors.Is(err, engine.ErrGone) && !errors.Is(err, engine.ErrNoCell) {
			m.cfg.Log.WarnContext(work, "cannot discard what is kept of an ended cell", "calculation", j.id, "err", err)
		}
	}
}

// serveCell has the driver run the calculation and returns its result. The
// error is cell.ErrLeave, or that of ctx.
func (m *Manager) serveCell(ctx context.Context, r engine.Runner, j *job) (engine.CellResult, error) {
	c := cell.Job{
		Cell: j.cell, Runner: r, Cancel: j.cancel, Noun: "calculation", Watch: watcher{m, j},
		Log: m.cfg.Log, TakeTimeout: m.cfg.TakeTimeout,
	}
	return c.Serve(ctx)
}

// watcher moves a job as its cell moves.
type watcher struct {
	m *Manager
	j *job
}

func (w watcher) Sending() { w.j.move(Sent) }

func (w watcher) Held() { w.j.move(Held) }

func (w watcher) Handed(running bool) {
	close(w.j.taken)
	if running {
		w.j.move(Taken)
	}
}

func (w watcher) Lasts(ctx context.Context) { w.m.note(ctx, w.j) }

// note writes that the calculation runs. It is for other readers of the row
// only, so a failure does no harm. A Stop that came between the row and the
// job is found here.
func (m *Manager) note(ctx context.Context, j *job) {
	stopped := false
	_, err := m.cfg.Store.UpdateCalculation(ctx, j.id, func(c *Calculation) error {
		stopped = c.State == Canceling
		if c.State != Creating && c.State != Created && c.State != Queued {
			return errOver
		}
		c.catchUp()
		return nil
	})
	if stopped {
		j.move(Stop)
		cell.Poke(j.cancel)
	}
	if err != nil && !errors.Is(err, errOver) && ctx.Err() == nil {
		m.cfg.Log.WarnContext(ctx, "cannot write that a calculation runs", "calculation", j.id, "err", err)
	}
}

// finish keeps the result: the three objects first, then the end of the
// calculation together with its session's. Nothing says COMPLETED before it
// can be read. The error is that of ctx.
func (m *Manager) finish(ctx context.Context, r engine.Runner, j *job, res engine.CellResult) error {
	began := time.Now()
	giveUp := began.Add(m.cfg.FinishTimeout)
	if res.Outcome == engine.Lost && res.Error == nil {
		m.awaitEnd(ctx, j.session)
	}
	broken, err := m.keep(ctx, r, j, res, giveUp)
	if err != nil {
		return err
	}
	kept := time.Now()
	tasks := m.cfg.Sessions.Tasks(j.session, j.cell.ID)
	err = cell.Retry(ctx, m.cfg.Log, "record the end of a calculation", func() error {
		late := broken
		if late == "" && time.Now().After(giveUp) {
			late = fmt.Sprintf("The result could not be recorded within %s: the metadata store did not answer.", m.cfg.FinishTimeout)
		}
		_, _, err := m.cfg.Store.EndCalculation(ctx, j.id, func(c *Calculation, s *session.Session) error {
			if c.State.Terminal() {
				return errOver
			}
			return end(c, s, res, tasks, j.place, late, broken == "")
		})
		if errors.Is(err, errOver) || errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
	m.cfg.Log.DebugContext(ctx, "calculation ended", "calculation", j.id, "outcome", string(res.Outcome), "run", res.Run,
		"since_begin", began.Sub(j.created), "putting", kept.Sub(began), "recording", time.Since(kept))
	return err
}

// keep puts the result, trying again until giveUp, until that cannot help, or
// until the calculation is stopped. broken is why the result is not kept; the
// error is that of ctx.
func (m *Manager) keep(ctx context.Context, r engine.Runner, j *job, res engine.CellResult, giveUp time.Time) (broken string, err error) {
	stop := j.cancel
	if res.Outcome == engine.Cancelled {
		stop = nil // it was stopped before, and that much is to be kept
	}
	for n := 0; ; n++ {
		err := m.put(ctx, r, j, res)
		if err == nil {
			return "", nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if refused, ok := errors.AsType[*cell.RefusedError](err); ok {
			m.cfg.Log.WarnContext(ctx, "cannot write a result", "calculation", j.id, "err", err)
			return fmt.Sprintf("The result could not be written to %s: %s.", j.place.dir, refused.Why), nil
		}
		if n == 0 {
			m.cfg.Log.WarnContext(ctx, "cannot write a result, trying again", "calculation", j.id, "err", err)
		}
		if time.Now().After(giveUp) {
			m.cfg.Log.ErrorContext(ctx, "cannot write a result, giving up", "calculation", j.id, "err", err)
			return fmt.Sprintf("The result could not be written to %s within %s: the object store did not take it.", j.place.dir, m.cfg.FinishTimeout), nil
		}
		again := time.NewTimer(retryEvery)
		select {
		case <-again.C:
		case <-stop:
			again.Stop()
			return fmt.Sprintf("The calculation was stopped on request. Its result could not be written to %s: the object store does not take it.", j.place.dir), nil
		case <-ctx.Done():
			again.Stop()
			return "", ctx.Err()
		}
	}
}

// end writes the end of a calculation into its row and its session's.
func end(c *Calculation, s *session.Session, res engine.CellResult, tasks engine.Tasks, at place, broken string, kept bool) error {
	now := time.Now()
	e, why := verdict(*s, res)
	if broken != "" {
		e, why = Broke, broken
	}
	ended := res.Ended
	if ended.IsZero() {
		ended = now
	}
	c.catchUp()
	if err := c.Move(e, ended, why); err != nil {
		return err
	}
	c.Run, c.Progress = res.Run, tasks
	c.DPUMillis = max(1, int64(s.DPUs)*res.Run.Milliseconds())
	c.ResultType = resultType
	if kept {
		c.StdoutURI, c.StderrURI, c.ResultURI = at.uri(stdoutKey), at.uri(stderrKey), at.uri(resultKey)
	}
	if s.Work != c.ID || s.State == session.Ended {
		return nil
	}
	return s.Leave(now)
}

// verdict is how a calculation ends whose cell has ended so.
func verdict(s session.Session, res engine.CellResult) (Event, string) {
	const stopped = "The calculation was stopped on request."
	switch res.Outcome {
	case engine.Succeeded:
		return Succeeded, ""
	case engine.Failed:
		return Raised, reason(res.Error)
	case engine.Cancelled:
		return Interrupted, stopped
	case engine.Lost:
	}
	switch {
	case res.Error != nil:
		return Broke, "The calculation was lost: " + res.Error.Value + "."
	case s.Desired == session.Ended && (s.Cause == session.Asked || s.Cause == ""):
		return Interrupted, "The calculation was stopped because its session ended. " + s.Reason
	case s.Reason != "":
		return Broke, "The calculation was lost because its session ended. " + s.Reason
	}
	return Broke, "The calculation was lost: its session's driver has no record of it."
}

// reason is what a StateChangeReason says of an exception: its name and value.
func reason(e *engine.CellError) string {
	const most = 4096 // characters; a value can be as long as user code likes
	if e == nil {
		return "The calculation failed."
	}
	text := e.Name
	if e.Value != "" {
		text += ": " + e.Value
	}
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}

// awaitEnd gives the session a moment to know why its driver is gone.
func (m *Manager) awaitEnd(ctx context.Context, key session.Key) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_ = m.cfg.Sessions.AwaitEnd(ctx, key) // without it the reason is less plain
}

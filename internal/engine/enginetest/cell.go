package enginetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"glaux/internal/engine"
	"glaux/internal/ident"
)

func cellWithOutput(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("hello"), b.d.PrintErr("careful"), b.d.Display("shown"))
	res := b.result(r, id, engine.Succeeded)
	if got := b.output(r, id, engine.Stdout, 0); got != "hello\n" {
		b.Errorf("stdout is %q", got)
	}
	if got := b.output(r, id, engine.Stdout, 3); got != "lo\n" {
		b.Errorf("stdout from 3 is %q", got)
	}
	if got := b.output(r, id, engine.Stdout, 1000); got != "" {
		b.Errorf("stdout from beyond its end is %q", got)
	}
	if got := b.output(r, id, engine.Stderr, 0); got != "careful\n" {
		b.Errorf("stderr is %q", got)
	}
	if got := b.output(r, id, engine.Displays, 0); !strings.Contains(got, "shown") || strings.Count(got, "\n") != 1 {
		b.Errorf("displays are %q, want one line", got)
	}
	if res.Sizes[engine.Stdout] != 6 || res.Sizes[engine.Stderr] != 8 || res.Error != nil {
		b.Errorf("result is %+v", res)
	}
	_, err := r.Output(b.ctx, "unknown", engine.Stdout, 0)
	b.wantErr(err, engine.ErrNoCell, "Output of an unknown cell")
	_, err = r.Result(b.ctx, "unknown")
	b.wantErr(err, engine.ErrNoCell, "Result of an unknown cell")
}

func cellThatFails(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Raise("ValueError", "bad thing"))
	res := b.result(r, id, engine.Failed)
	if res.Error == nil || res.Error.Name != "ValueError" || res.Error.Value != "bad thing" || len(res.Error.Traceback) == 0 {
		b.Errorf("error is %+v", res.Error)
	}
	if got := b.output(r, id, engine.Stderr, 0); !strings.Contains(got, "ValueError: bad thing") {
		b.Errorf("stderr is %q, want the traceback", got)
	}
	b.result(r, b.run(r, b.d.Print("next")), engine.Succeeded)
}

func runIsIdempotentAndExclusive(b *bench) {
	r := b.prepared()
	cell := engine.Cell{ID: engine.CellID(ident.NewID()), Code: lines(b.d.Print("once"), b.d.Sleep(time.Minute))}
	b.check(r.Run(b.ctx, cell), "Run")
	b.check(r.Run(b.ctx, cell), "Run again")
	b.wantErr(r.Run(b.ctx, engine.Cell{ID: "other", Code: b.d.Print("x")}), engine.ErrBusy, "Run beside another")
	b.wantErr(r.Discard(b.ctx, cell.ID), engine.ErrBusy, "Discard of a running cell")
	b.begun(r, cell.ID, "once\n")
	b.check(r.Interrupt(b.ctx, cell.ID), "Interrupt")
	b.result(r, cell.ID, engine.Cancelled)
	b.check(r.Run(b.ctx, cell), "Run of an ended cell")
	if got := b.output(r, cell.ID, engine.Stdout, 0); got != "once\n" {
		b.Errorf("stdout is %q, want the cell to have run once", got)
	}
	b.check(r.Interrupt(b.ctx, cell.ID), "Interrupt of an ended cell")
	b.result(r, cell.ID, engine.Cancelled)
}

func outputIsFollowedLive(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("early"), b.d.Sleep(2*time.Second), b.d.Late("late"))
	rd, err := r.Output(b.ctx, id, engine.Stdout, 0)
	b.check(err, "Output")
	defer rd.Close()
	first := make([]byte, 6)
	_, err = io.ReadFull(rd, first)
	b.check(err, "read the first line")
	if string(first) != "early\n" {
		b.Fatalf("first line is %q", first)
	}
	early, cancel := context.WithTimeout(b.ctx, time.Millisecond)
	defer cancel()
	if _, err := r.Result(early, id); !errors.Is(err, context.DeadlineExceeded) {
		b.Errorf("Result at the first line: %v, want the cell to run still", err)
	}
	rest, err := io.ReadAll(rd)
	b.check(err, "read the rest")
	if string(rest) != "late\n" {
		b.Errorf("rest is %q", rest)
	}
	b.result(r, id, engine.Succeeded)
}

func largeOutputIsCapped(b *bench) {
	r := b.prepared()
	const n = 3 << 20 // the suite's cap is 1 MiB
	id := b.run(r, b.d.Fill(n))
	res := b.result(r, id, engine.Succeeded)
	got := b.output(r, id, engine.Stdout, 0)
	if res.Sizes[engine.Stdout] != int64(len(got)) {
		b.Errorf("result has size %d, the stream %d", res.Sizes[engine.Stdout], len(got))
	}
	if kept := strings.Count(got, "x"); int64(kept)+res.Truncated[engine.Stdout] < n || kept > 1<<20 {
		b.Errorf("kept %d bytes and dropped %d of %d with a cap of 1 MiB", kept, res.Truncated[engine.Stdout], n)
	}
	b.result(r, b.run(r, b.d.Print("next")), engine.Succeeded)
}

func interrupt(b *bench, code string) {
	r := b.prepared()
	id := b.run(r, b.d.Print("begun"), code)
	b.begun(r, id, "begun\n")
	asked := time.Now()
	b.check(r.Interrupt(b.ctx, id), "Interrupt")
	b.result(r, id, engine.Cancelled)
	if took := time.Since(asked); took > 4*time.Second { // two, on a quiet machine; at five the ladder goes on
		b.Errorf("the interrupt took %v, want at most 4 s", took)
	}
	b.result(r, b.run(r, b.d.Print("next")), engine.Succeeded)
}

func interruptStubborn(b *bench) {
	r := b.prepared()
	var judged bool
	watched, begun := make(chan error, 1), make(chan struct{})
	go func() {
		first := sync.OnceFunc(func() { close(begun) })
		watched <- r.Watch(b.ctx, func(s engine.Status) {
			first()
			judged = judged || s.Phase == engine.Prepared && !s.Responsive && s.Note != ""
		})
	}()
	<-begun
	id := b.run(r, b.d.Stubborn("begun"))
	b.begun(r, id, "begun\n")
	asked := time.Now()
	b.check(r.Interrupt(b.ctx, id), "Interrupt")
	b.result(r, id, engine.Cancelled)
	if took := time.Since(asked); took > 10*time.Second {
		b.Errorf("the interrupt took %v, want at most 10 s", took)
	}
	e := b.gone(r)
	if e.Asked || e.Lost || e.Process != "python" {
		b.Errorf("exit is %+v, want the interpreter killed", e)
	}
	b.check(<-watched, "Watch")
	if !judged {
		b.Error("the status never said that the interpreter is not responsive")
	}
	b.result(r, id, engine.Cancelled)
}

func interruptUnknown(b *bench) {
	b.wantErr(b.prepared().Interrupt(b.ctx, "unknown"), engine.ErrNoCell, "Interrupt")
}

func crashUnderCell(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("before"), b.d.Crash(7))
	res, err := r.Result(b.ctx, id)
	b.check(err, "Result")
	if res.Outcome != engine.Lost {
		b.Errorf("outcome is %q, want lost", res.Outcome)
	}
	if e := b.gone(r); e.Asked || e.Lost || e.Code != 7 || e.Process != "python" {
		b.Errorf("exit is %+v, want python with 7", e)
	}
	if got := b.output(r, id, engine.Stdout, 0); got != "before\n" {
		b.Errorf("stdout after the crash is %q", got)
	}
}

func discardForgets(b *bench) {
	r := b.prepared()
	id := b.run(r, b.d.Print("x"))
	b.result(r, id, engine.Succeeded)
	b.check(r.Discard(b.ctx, id), "Discard")
	b.check(r.Discard(b.ctx, id), "Discard again")
	b.check(r.Discard(b.ctx, "unknown"), "Discard of an unknown cell")
	_, err := r.Result(b.ctx, id)
	b.wantErr(err, engine.ErrNoCell, "Result after Discard")
}

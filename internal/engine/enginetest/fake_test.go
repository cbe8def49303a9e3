package enginetest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"glaux/internal/engine"
)

func TestFakeConforms(t *testing.T) {
	Test(t, func(t *testing.T) Subject {
		f := &Fake{OnLaunch: FailByProperty, OnDial: PlayUI(UIHandler)}
		return Subject{New: func(*testing.T) engine.Launcher { return f }, Dialect: Scripted()}
	})
}

func TestFakeKeepsTimeOfTheBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fake{OnLaunch: func(engine.Spec) Start {
			return Start{Scheduled: time.Second, Preparing: 2 * time.Second, StopTakes: time.Hour}
		}}
		ctx := t.Context()
		d, err := f.Launch(ctx, engine.Spec{Key: "k", Epoch: 1})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := d.Ready(ctx); err != nil || time.Since(began) != 3*time.Second {
			t.Fatalf("Ready after %v: %v", time.Since(began), err)
		}
		r := d.(engine.Runner)
		if err := r.Run(ctx, engine.Cell{ID: "c", Code: "stubborn\nforever"}); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		if err := r.Interrupt(ctx, "c"); err != nil {
			t.Fatal(err)
		}
		res, err := r.Result(ctx, "c")
		if err != nil || res.Outcome != engine.Cancelled || time.Since(began) != Killed {
			t.Fatalf("result is %+v, %v after %v", res, err, time.Since(began))
		}
		e, err := d.Wait(ctx)
		if err != nil || e.Signal != 9 {
			t.Fatalf("exit is %+v, %v", e, err)
		}
		d, _ = f.Launch(ctx, engine.Spec{Key: "l", Epoch: 1})
		stop, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		began = time.Now()
		if err := d.Stop(stop); err != nil || time.Since(began) != time.Minute {
			t.Fatalf("Stop after %v: %v", time.Since(began), err)
		}
	})
}

func TestFakeHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := &Fake{OnCell: func(engine.Key, engine.Cell) Script {
			return Script{Stdout: "a\n", Hold: hold, Late: "b\n"}
		}}
		d, _ := f.Launch(t.Context(), engine.Spec{Key: "k"})
		r := d.(engine.Runner)
		if err := r.Run(t.Context(), engine.Cell{ID: "c"}); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.Result(short, "c"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Result while held: %v", err)
		}
		close(hold)
		if res, err := r.Result(t.Context(), "c"); err != nil || res.Sizes[engine.Stdout] != 4 {
			t.Fatalf("result is %+v, %v", res, err)
		}
		if !f.Crash("k", engine.Exit{Code: 1}) || len(f.Alive()) != 0 {
			t.Error("Crash left the driver alive")
		}
	})
}

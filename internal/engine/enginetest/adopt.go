package enginetest

import (
	"time"

	"glaux/internal/engine"
	"glaux/internal/ident"
)

// restart returns the driver as a server after a restart sees it.
func (b *bench) restart(r runner, epoch uint64) (engine.Launcher, runner) {
	b.Helper()
	l := b.s.New(b.T)
	h := r.Handle()
	h.Epoch = epoch
	d, err := l.Adopt(b.ctx, h)
	b.check(err, "Adopt")
	return l, b.runner(d)
}

func adoptWhileIdle(b *bench) {
	old := b.prepared()
	_, r := b.restart(old, 2)
	b.check(r.Ready(b.ctx), "Ready")
	b.result(r, b.run(r, b.d.Print("x")), engine.Succeeded)
}

func adoptUnderRunningCell(b *bench) {
	old := b.prepared()
	id := b.run(old, b.d.Print("early"), b.d.Sleep(300*time.Millisecond), b.d.Late("late"))
	_, r := b.restart(old, 2)
	b.check(r.Run(b.ctx, engine.Cell{ID: id, Code: b.d.Print("again")}), "Run of the running cell")
	b.result(r, id, engine.Succeeded)
	if got := b.output(r, id, engine.Stdout, 0); got != "early\nlate\n" {
		b.Errorf("stdout is %q", got)
	}
}

func adoptAfterTheEnd(b *bench) {
	old := b.prepared()
	id := b.run(old, b.d.Print("kept"))
	b.result(old, id, engine.Succeeded)
	lost := b.run(old, b.d.Crash(3))
	b.gone(old)
	l, r := b.restart(old, 2)
	if e := b.gone(r); e.Code != 3 || e.Lost {
		b.Errorf("exit is %+v, want code 3", e)
	}
	b.result(r, id, engine.Succeeded)
	b.result(r, lost, engine.Lost)
	if got := b.output(r, id, engine.Stdout, 0); got != "kept\n" {
		b.Errorf("stdout is %q", got)
	}
	if list, err := l.List(b.ctx); err != nil || count(list, r.Handle().Key) != 1 {
		b.Errorf("List is %v, %v, want what the driver left behind in it", list, err)
	}
}

func adoptUnknown(b *bench) {
	_, err := b.l.Adopt(b.ctx, engine.Handle{Key: engine.Key(ident.NewID())})
	b.wantErr(err, engine.ErrGone, "Adopt")
}

func lowerEpochIsStale(b *bench) {
	old := b.prepared()
	_, r := b.restart(old, 5)
	b.check(r.Ready(b.ctx), "Ready of the newer")
	b.wantErr(old.Run(b.ctx, engine.Cell{ID: "x", Code: b.d.Print("x")}), engine.ErrStale, "Run by the older")
	h := old.Handle()
	h.Epoch = 4
	_, err := b.s.New(b.T).Adopt(b.ctx, h)
	b.wantErr(err, engine.ErrStale, "Adopt with a lower epoch")
	b.result(r, b.run(r, b.d.Print("x")), engine.Succeeded)
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"glaux/internal/engine"
	"glaux/internal/engine/local"
	"glaux/internal/install"
)

// launcher starts drivers with the runtime that is installed when a session
// starts: a server that was started without one takes it up as soon as it is
// there, and a newer one too. It implements engine.Launcher.
type launcher struct {
	cfg     local.Config // without a runtime
	dir     string       // where the runtime is installed
	keeping *local.Launcher

	mu      sync.Mutex
	loaded  install.Runtime // guarded by mu; of current, as it was found
	archive fs.FileInfo     // guarded by mu; of current's start-up archive, which was examined; nil: it has none
	current *local.Launcher // guarded by mu; nil until a runtime was found
}

func newLauncher(cfg local.Config, dir string) (*launcher, error) {
	keeping, err := local.New(cfg)
	if err != nil {
		return nil, err
	}
	l := &launcher{cfg: cfg, dir: dir, keeping: keeping}
	if _, err := install.Load(dir); err == nil {
		l.use() // sessions of an earlier server may run with it
	}
	return l, nil
}

// use notes that sessions here run with the runtime. Without that they run all
// the same, until a later version of it is the fourth.
func (l *launcher) use() {
	if err := install.Use(l.dir, filepath.Join(l.cfg.Data, "sessions")); err != nil {
		l.cfg.Log.Warn("an update of the runtime may remove what sessions here run with", "runtime", l.dir, "err", err)
	}
}

// Launch starts a driver, or fails with a *engine.StartError that says how to
// install the runtime.
func (l *launcher) Launch(ctx context.Context, spec engine.Spec) (engine.Driver, error) {
	with, err := l.ready()
	if errors.Is(err, install.ErrNotInstalled) {
		return nil, &engine.StartError{Cause: fmt.Sprintf(
			"the Spark runtime is not installed in %s; run: glaux runtime install --dir %s", l.dir, shellQuote(l.dir))}
	}
	if err != nil {
		return nil, &engine.StartError{Cause: err.Error()}
	}
	return with.Launch(ctx, spec)
}

// Adopt finds a driver; for that it does not matter what is installed.
func (l *launcher) Adopt(ctx context.Context, h engine.Handle) (engine.Driver, error) {
	return l.keeping.Adopt(ctx, h)
}

// Kill ends a driver that answers nobody.
func (l *launcher) Kill(ctx context.Context, key engine.Key) error { return l.keeping.Kill(ctx, key) }

// List returns every driver there is.
func (l *launcher) List(ctx context.Context) ([]engine.Handle, error) { return l.keeping.List(ctx) }

// ready returns a launcher with the runtime that is installed now.
func (l *launcher) ready() (*local.Launcher, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rt, err := install.Load(l.dir)
	if err != nil {
		return nil, err
	}
	archive, _ := os.Stat(rt.Archive) // nil: there is none
	if l.current != nil && rt.Version == l.loaded.Version && rt.Archive == l.loaded.Archive && sameArchive(archive, l.archive) {
		return l.current, nil
	}
	found := rt
	if err := rt.CheckArchive(); err != nil { // once for each archive: a damaged one could end every driver at its start
		rt = rt.WithoutArchive(err.Error())
	}
	if rt.Archive == "" {
		l.cfg.Log.Warn("sessions start slower, without a start-up archive; run: glaux runtime install", "why", rt.Note, "runtime", l.dir)
	}
	cfg := l.cfg
	cfg.Runtime = local.Runtime{
		Version: rt.Version, JVM: rt.Command, Formats: rt.Formats, Runner: rt.Runner(), Modules: rt.Modules(), Env: rt.Env(), Needs: []string{rt.Dir},
	}
	if l.current, err = local.New(cfg); err != nil {
		return nil, err
	}
	if l.loaded.Version == "" {
		l.use()
	}
	l.loaded, l.archive = found, archive
	return l.current, nil
}

// sameArchive says whether two looks at the archive saw the same file.
func sameArchive(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// version names the runtime that is installed now; empty: none.
func (l *launcher) version() string {
	rt, err := install.Load(l.dir)
	if err != nil {
		return ""
	}
	return rt.Version
}

// driverStarted counts a driver that has started, and says when it did so the slow way.
func (s *Server) driverStarted(st local.Start) {
	s.meter.started(st.Archive)
	if !st.Archive {
		s.log.Warn("a driver runs without the start-up archive", "session", st.Key, "why", st.Why)
	}
}

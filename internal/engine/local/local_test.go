package local

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"glaux/internal/engine"
	"glaux/internal/engine/enginetest"
)

// world is a machine for launchers: directories that are removed with the test.
type world struct {
	data, sockets, agent string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	sockets, err := os.MkdirTemp("", "gx") // short, unlike t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	os.Chmod(sockets, 0o711)
	return &world{data: t.TempDir(), sockets: sockets, agent: filepath.Join(sockets, "agent.sock")}
}

func (w *world) launcher(t *testing.T) *Launcher {
	t.Helper()
	l, err := New(Config{
		Runtime: fakeRuntime(), Data: w.data, Sockets: w.sockets, Agent: w.agent, Shim: shimProgram,
		Memory: 64 << 10, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLocalConforms(t *testing.T) {
	enginetest.Test(t, func(t *testing.T) enginetest.Subject {
		w := newWorld(t)
		return enginetest.Subject{
			New:     func(t *testing.T) engine.Launcher { return w.launcher(t) },
			Dialect: enginetest.Scripted(),
		}
	})
}

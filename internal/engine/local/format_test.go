package local

import (
	"errors"
	"strings"
	"testing"

	"glaux/internal/engine"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

func TestFormatsExtendTheClassPath(t *testing.T) {
	w := newWorld(t)
	spec := testSpec()
	spec.Formats = []string{"iceberg"}
	l := w.launcher(t)
	d, err := l.Launch(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(d.Stop(t.Context()), d.Remove(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	s, err := supervise.ReadSpec(l.dir(spec.Key) + "/" + shim.SpecFile)
	if err != nil || !strings.HasSuffix(strings.Join(s.JVM.Args, " "), " /formats/a.jar /formats/b.jar") {
		t.Errorf("JVM is %v, %v", s.JVM, err)
	}
}

func TestFormatThatIsNotInstalled(t *testing.T) {
	spec := testSpec()
	spec.Formats = []string{"paimon"}
	_, err := newWorld(t).launcher(t).Launch(t.Context(), spec)
	if e, ok := errors.AsType[*engine.StartError](err); !ok || e.Cause != "the Spark runtime that is installed has no jars of paimon; run: glaux runtime install" {
		t.Errorf("Launch: %v", err)
	}
}

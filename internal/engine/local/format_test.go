package local

import (
	"errors"
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
	if err != nil || s.JVM.Args[len(s.JVM.Args)-1] != fakeRuntime().Formats["iceberg"][0] {
		t.Errorf("JVM is %v, %v", s.JVM, err)
	}
}

func TestFormatThatIsNotInstalled(t *testing.T) {
	w := newWorld(t)
	for _, format := range []string{"paimon", "hudi"} { // of the latter a jar is gone
		spec := testSpec()
		spec.Formats = []string{format}
		_, err := w.launcher(t).Launch(t.Context(), spec)
		if e, ok := errors.AsType[*engine.StartError](err); !ok || e.Cause != "the Spark runtime that is installed lacks jars of "+format+"; run: glaux runtime install" {
			t.Errorf("Launch: %v", err)
		}
	}
}

package supervise

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"glaux/internal/shim"
)

// Detach starts "program run spec" in a process session of its own, with the
// two listeners this process inherited and the session's log, and returns at
// once. The caller then ends, so that the shim belongs to nobody.
func Detach(program, spec string) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	log, err := os.OpenFile(filepath.Join(filepath.Dir(spec), shim.LogFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := os.StartProcess(program, []string{program, "run", spec}, &os.ProcAttr{
		Dir: "/", Env: os.Environ(),
		Files: []*os.File{null, null, log, os.NewFile(shim.FDAddress, "address"), os.NewFile(shim.FDSocket, "socket")},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("cannot start the shim: %w", err)
	}
	return p.Release()
}

// ReadSpec reads a session's spec.
func ReadSpec(path string) (shim.Spec, error) {
	var s shim.Spec
	b, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("cannot read %q: %w", path, err)
	}
	if s.Version != shim.Version {
		return s, fmt.Errorf("cannot read %q: it has version %d, this shim speaks %d", path, s.Version, shim.Version)
	}
	return s, nil
}

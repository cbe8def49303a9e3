package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"

	"glaux/internal/engine"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// waits says whether the driver waits for a session to claim it.
func (d *Driver) waits() bool {
	var st supervise.State
	if readJSON(d.file(shim.StateFile), &st) == nil {
		return st.Waits
	}
	spec, err := supervise.ReadSpec(d.file(shim.SpecFile)) // its shim has not come so far
	return err == nil && spec.Wait != ""
}

// Claim gives a driver that waits to a session.
func (d *Driver) Claim(ctx context.Context, spec engine.Spec) error {
	if spec.Key != d.key {
		return fmt.Errorf("cannot claim driver %q for session %q", d.key, spec.Key)
	}
	was, err := supervise.ReadSpec(d.file(shim.SpecFile))
	if err != nil {
		return fmt.Errorf("cannot claim driver: %w", err)
	}
	at, uid := place{work: filepath.Join(d.dir, "work"), endpoint: endpoint(was.Port), secret: secret()}, -1
	if was.Sandboxed {
		uid = was.UID
	}
	by := shim.Claim{Args: spec.Args, Display: string(spec.Display), Notes: spec.Notes, Orphaned: spec.Orphaned}
	switch was.Wait {
	case shim.WaitContext:
		if by.Settings, err = changes(spec, at); err != nil {
			return err
		}
	case shim.WaitProperties:
		properties, err := given(spec, at)
		if err != nil {
			return &engine.StartError{Cause: err.Error()}
		}
		if err := writeFile(confFile(at.work), properties, uid); err != nil {
			return fmt.Errorf("cannot claim driver: %w", err)
		}
	default:
		return errors.New("cannot claim driver: it was not launched to wait")
	}
	if _, err := d.do(ctx, shim.Request{Op: shim.OpClaim, Claim: &by}); err != nil {
		return fmt.Errorf("cannot claim driver: %w", err)
	}
	return nil
}

// changes are the properties of a spec that its driver was not launched with.
func changes(spec engine.Spec, at place) (map[string]string, error) {
	var was map[string]string
	if err := readJSON(confFile(at.work), &was); err != nil {
		return nil, fmt.Errorf("cannot claim driver: %w", err)
	}
	at.secret = was["spark.authenticate.secret"]
	now, err := given(spec, at)
	if err != nil {
		return nil, &engine.StartError{Cause: err.Error()}
	}
	maps.DeleteFunc(now, func(k, v string) bool { return was[k] == v })
	return now, nil
}

// endpoint is the session's own address.
func endpoint(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

package install

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// archive trains the start-up archive: a session of the new runtime does the
// work that sessions begin with, and Java writes down the classes it loaded.
// Failing at it is a warning, because sessions start without one, only slower.
func (in *installer) archive(ctx context.Context, r *Runtime) error {
	path := filepath.Join(in.Dir, "archive", r.ArchiveKey+".jsa")
	if _, err := os.Stat(path); err == nil {
		r.Archive = path
		return nil
	}
	done := in.step("start-up archive: training, about a minute")
	if err := in.train(ctx, *r, path); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		in.say("warning: no start-up archive, sessions start slower: %s", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		return nil
	}
	r.Archive = path
	done()
	return nil
}

func (in *installer) train(ctx context.Context, r Runtime, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	manifest := filepath.Join(temp, "runtime.json")
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.WriteFile(manifest, data, 0o600); err != nil {
		return err
	}
	out := filepath.Join(temp, "archive.jsa")
	env := "PYTHONPATH=" + joinPaths(r.PythonPath)
	if _, err := command(ctx, temp, "env", env, r.Python, "-m", "glaux_training", "train", manifest, out); err != nil {
		return fmt.Errorf("cannot train: %w", err)
	}
	if err := os.Chmod(out, 0o644); err != nil {
		return fmt.Errorf("cannot train: %w", err)
	}
	return os.Rename(out, path)
}

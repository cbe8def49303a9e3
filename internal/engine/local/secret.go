package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"glaux/internal/engine"
	"glaux/internal/shim"
	"glaux/internal/supervise"
)

// secretNames are the variables in which the JVM, and the JVM alone, is given
// the secrets of its services.
func secretNames() map[engine.Service]string {
	return map[engine.Service]string{
		engine.Connect: "GLAUX_CONNECT_SECRET",
		engine.UI:      "GLAUX_UI_SECRET",
	}
}

// Secret reads the session's spec, which only the server's user can: so it is
// the same for every server that comes after the one that launched it.
func (d *Driver) Secret(ctx context.Context, service engine.Service) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	spec, err := supervise.ReadSpec(d.file(shim.SpecFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", engine.ErrGone
	case err != nil:
		return "", fmt.Errorf("cannot read the session's spec: %w", err)
	}
	if name := secretNames()[service]; name != "" {
		for _, v := range spec.JVM.Env {
			if secret, ok := strings.CutPrefix(v, name+"="); ok && secret != "" {
				return secret, nil
			}
		}
	}
	return "", fmt.Errorf("%w: %q", engine.ErrNoSecret, service)
}

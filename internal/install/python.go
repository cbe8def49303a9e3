package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// environmentDir names the Python environment by what it is made of.
func (in *installer) environmentDir() string {
	sum := sha256.New()
	sum.Write(requirements)
	sum.Write([]byte(in.python))
	return filepath.Join(in.Dir, "python-"+hex.EncodeToString(sum.Sum(nil))[:12])
}

// environment makes the Python environment. An environment cannot be moved, so
// it is built in place and counts once its record is written.
func (in *installer) environment(ctx context.Context) error {
	dir := in.environmentDir()
	record := filepath.Join(dir, "complete")
	in.spark = filepath.Join(dir, "lib", "python"+in.pins.Python, "site-packages", "pyspark")
	if _, err := os.Stat(record); err == nil {
		return nil
	}
	done := in.step("Python environment: Spark %s and %d packages, about 700 MB", in.pins.Spark, bytes.Count(requirements, []byte("=="))-1)
	if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove an incomplete Python environment: %w", err)
	}
	if _, err := command(ctx, in.Dir, in.python, "-m", "venv", dir); err != nil {
		return fmt.Errorf("cannot create the Python environment: %w", err)
	}
	// pyspark comes as source: it is built with the setuptools of the lock file, not with whatever is newest.
	lock := filepath.Join(dir, "requirements.txt")
	tools := filepath.Join(dir, "build-requirements.txt")
	if err := os.WriteFile(lock, requirements, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(tools, []byte(pinned("setuptools")), 0o644); err != nil {
		return err
	}
	python := filepath.Join(dir, "bin", "python")
	pip := []string{"-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes"}
	if err := in.retried(ctx, in.Dir, python, append(pip, "-r", tools)...); err != nil {
		return fmt.Errorf("cannot install setuptools: %w", err)
	}
	if err := in.retried(ctx, in.Dir, python, append(pip, "--no-build-isolation", "--use-pep517", "-r", lock)...); err != nil {
		return fmt.Errorf("cannot install the Python packages: %w", err)
	}
	if _, err := os.Stat(filepath.Join(in.spark, "jars")); err != nil {
		return fmt.Errorf("cannot find Spark in the Python environment: %w", err)
	}
	if err := readable(dir); err != nil {
		return fmt.Errorf("cannot make the Python environment readable: %w", err)
	}
	if err := writeFile(record, nil); err != nil {
		return err
	}
	done()
	return nil
}

// pinned returns the lines of one package in the lock file.
func pinned(name string) string {
	var lines []string
	inside := false
	for line := range strings.Lines(string(requirements)) {
		if !strings.HasPrefix(line, " ") {
			inside = strings.HasPrefix(line, name+"==")
		}
		if inside && !strings.Contains(line, "#") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return strings.TrimSuffix(strings.Join(lines, "\n"), "\\") + "\n"
}

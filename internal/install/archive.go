package install

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// lambdaDir holds the jars that lambdas makes, by the key of what they were made of.
const lambdaDir = "lambdas"

// lambdas puts a jar before Spark's in which the lambdas that sessions begin
// with are classes: Java keeps no others in the archive. Failing at it is a
// warning, because it is about time and memory only.
func (in *installer) lambdas(ctx context.Context, r *Runtime) error {
	key, err := archiveKey(*r)
	if err != nil {
		return fmt.Errorf("cannot examine the class path: %w", err)
	}
	path := filepath.Join(in.Dir, lambdaDir, key+".jar")
	if old, err := zip.OpenReader(path); err == nil {
		_ = old.Close()
	} else {
		done := in.step("lambdas of Spark's start: training, about a minute")
		if err := in.play(ctx, *r, "lambdas", path); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			in.say("warning: sessions start slower, Spark's lambdas are made anew by each: %s", strings.ReplaceAll(err.Error(), "\n", "\n  "))
			return nil
		}
		done()
	}
	r.ClassPath = slices.Insert(r.ClassPath, 1, path)
	return nil
}

// archive trains the start-up archive: a session of the new runtime does the
// work that sessions begin with, and Java writes down the classes it loaded.
// Failing at it is a warning, because sessions start without one, only slower.
func (in *installer) archive(ctx context.Context, r *Runtime) error {
	path := filepath.Join(in.Dir, "archive", r.ArchiveKey+".jsa")
	if old, err := Load(in.Dir); err == nil && old.Archive == path && old.ArchiveSum != "" && old.CheckArchive() == nil {
		r.Archive, r.ArchiveBytes, r.ArchiveSum = path, old.ArchiveBytes, old.ArchiveSum
		return nil
	}
	done := in.step("start-up archive: training, about a minute")
	if err := in.play(ctx, *r, "train", path); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		in.say("warning: no start-up archive, sessions start slower: %s", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		return nil
	}
	size, sum, err := sumFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the start-up archive: %w", err)
	}
	r.Archive, r.ArchiveBytes, r.ArchiveSum = path, size, sum
	done()
	return nil
}

// CheckArchive reads the start-up archive and compares it with what was
// trained. Java looks at no more than its head, and dies of one that ends too
// early. It takes a tenth of a second, and is nil for a runtime without one.
func (r Runtime) CheckArchive() error {
	if r.Archive == "" || r.ArchiveSum == "" {
		return nil
	}
	size, sum, err := sumFile(r.Archive)
	if err != nil {
		return fmt.Errorf("the start-up archive cannot be read: %w", err)
	}
	if size != r.ArchiveBytes || sum != r.ArchiveSum {
		return errors.New("the start-up archive is damaged")
	}
	return nil
}

// WithoutArchive returns the runtime as it is when its archive is of no use, and why.
func (r Runtime) WithoutArchive(why string) Runtime {
	r.Archive, r.Note = "", why
	return r
}

// sumFile returns size and CRC-32C of a file: against accidents, as nobody who
// could forge an archive would need to.
func sumFile(path string) (int64, string, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer file.Close()
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	size, err := io.CopyBuffer(sum, struct{ io.Reader }{file}, make([]byte, 1<<20))
	return size, fmt.Sprintf("crc32c:%08x", sum.Sum32()), err
}

// play has a session of the runtime do the training's work, and moves the file
// that what makes of it to its place.
func (in *installer) play(ctx context.Context, r Runtime, what, path string) error {
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
	out := filepath.Join(temp, filepath.Base(path))
	env := "PYTHONPATH=" + joinPaths(r.PythonPath)
	if _, err := command(ctx, temp, "env", env, r.Python, "-m", "glaux_training", what, manifest, out); err != nil {
		return fmt.Errorf("cannot train: %w", err)
	}
	if err := keep(out); err != nil {
		return fmt.Errorf("cannot keep what was trained: %w", err)
	}
	if err := readable(filepath.Dir(path)); err != nil {
		return fmt.Errorf("cannot keep what was trained: %w", err)
	}
	return os.Rename(out, path)
}

// keep has a file that another program wrote stay as it is through a loss of power.
func keep(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

package install

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// part says which entries of a jar the class path has. A JVM keeps the list of
// every entry of every jar in its heap, and reads it at its start; the AWS SDK
// alone has 130,000, almost all of services that Spark does not use.
type part struct {
	Artifact string   `yaml:"artifact"`
	Below    string   `yaml:"below"` // directory of which only some are kept
	Keep     []string `yaml:"keep"`  // those
	Drop     []string `yaml:"drop"`  // beginnings of the names of entries that are left out, wherever
}

// wholes is the system property with the jars that the class path has a part
// of, for the driver's loader of classes: it looks there last.
const wholes = "-Dglaux.wholes="

// parts puts copies in the place of jars of which a part suffices, and returns
// the class path's files and the jars that were replaced.
func (in *installer) parts(files []string) (path, whole []string, err error) {
	path = slices.Clone(files)
	for _, p := range in.pins.Parts {
		i := slices.IndexFunc(path, func(f string) bool { return filepath.Base(f) == jarFile(p.Artifact) })
		if i < 0 {
			return nil, nil, fmt.Errorf("there is no jar %s to take a part of", jarFile(p.Artifact))
		}
		from := path[i]
		path[i] = strings.TrimSuffix(from, ".jar") + "-" + p.name() + ".jar"
		whole = append(whole, from)
		if _, err := os.Stat(path[i]); err == nil {
			continue
		}
		if err := copyJar(from, path[i], p.has); err != nil {
			return nil, nil, fmt.Errorf("cannot copy a part of %s: %w", filepath.Base(from), err)
		}
		in.quiet = false
	}
	return path, whole, nil
}

// name tells parts of one jar apart.
func (p part) name() string {
	sum := sha256.Sum256([]byte(fmt.Sprint(p)))
	return "part-" + hex.EncodeToString(sum[:4])
}

// has says whether an entry belongs to the part. Directories do not, and what
// is no class is kept: classes outside the part may come with it.
func (p part) has(name string) bool {
	if strings.HasSuffix(name, "/") || slices.ContainsFunc(p.Drop, func(d string) bool { return strings.HasPrefix(name, d) }) {
		return false
	}
	rest, below := strings.CutPrefix(name, p.Below)
	one, _, deeper := strings.Cut(rest, "/")
	return !below || !deeper || !strings.HasSuffix(name, ".class") || slices.Contains(p.Keep, one)
}

// copyJar copies the entries of a jar that has says.
func copyJar(from, to string, has func(name string) bool) error {
	source, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // it was only read
	temp, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	out := zip.NewWriter(temp)
	for _, file := range source.File {
		if !has(file.Name) {
			continue
		}
		if err := out.Copy(file); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	if err := temp.Chmod(0o644); err != nil {
		return err
	}
	return os.Rename(temp.Name(), to)
}

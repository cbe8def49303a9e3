package install

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// jars fetches what pyspark lacks and returns the files in class path order.
// A jar enters the directory only after its checksum was right.
func (in *installer) jars(ctx context.Context) ([]string, error) {
	return in.jarsInto(ctx, filepath.Join(in.Dir, "jars"), in.pins.Jars)
}

// formatDir holds the jars of table formats, apart from those that every
// session has on its class path.
const formatDir = "formats"

// formats fetches the jars of table formats and returns them by format.
func (in *installer) formats(ctx context.Context) (map[string][]string, error) {
	all := make(map[string][]string, len(in.pins.Formats))
	for _, name := range slices.Sorted(maps.Keys(in.pins.Formats)) {
		files, err := in.jarsInto(ctx, filepath.Join(in.Dir, formatDir), in.pins.Formats[name])
		if err != nil {
			return nil, err
		}
		all[name] = files
	}
	return all, nil
}

func (in *installer) jarsInto(ctx context.Context, dir string, jars []jar) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var files []string
	for _, jar := range jars {
		name := jarFile(jar.Artifact)
		path := filepath.Join(dir, name)
		files = append(files, path)
		if info, err := os.Stat(path); err == nil && info.Size() == jar.Bytes {
			continue
		}
		done := in.step("%s, %d MB", name, (jar.Bytes+1<<19)>>20)
		if err := in.fetch(ctx, jar.Artifact, jar.SHA256, path); err != nil {
			return nil, err
		}
		done()
	}
	return files, nil
}

func (in *installer) fetch(ctx context.Context, artifact, sum, path string) error {
	maven := in.Maven
	if maven == "" {
		maven = "mvn"
	}
	temp, err := os.MkdirTemp(in.Dir, ".fetch-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	err = in.retried(ctx, temp, maven, "-q", "-B", in.pins.FetchWith, "-Dartifact="+artifact, "-DoutputDirectory="+temp, "-Dtransitive=false")
	if err != nil {
		return fmt.Errorf("cannot fetch %s: %w", artifact, err)
	}
	return admit(filepath.Join(temp, filepath.Base(path)), path, sum)
}

// admit moves a file to its place if its checksum is right.
func admit(from, to, sum string) error {
	got, err := hashFile(from)
	if err != nil {
		return err
	}
	if got != sum {
		return fmt.Errorf("%s is not the pinned file: its sha256 is %s, not %s", filepath.Base(to), got, sum)
	}
	if err := os.Chmod(from, 0o644); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// unsigned makes copies without signatures of those jars of pyspark that the
// pins name, and returns them by file name.
func (in *installer) unsigned() (map[string]string, error) {
	files := make(map[string]string)
	for _, jar := range in.pins.Unsigned {
		path := filepath.Join(in.Dir, "jars", strings.TrimSuffix(jar.File, ".jar")+"-unsigned.jar")
		files[jar.File] = path
		if _, err := os.Stat(path); err == nil {
			continue
		}
		source := filepath.Join(in.spark, "jars", jar.File)
		sum, err := hashFile(source)
		if err != nil {
			return nil, err
		}
		if sum != jar.SHA256 {
			return nil, fmt.Errorf("%s is not the pinned file: its sha256 is %s, not %s", jar.File, sum, jar.SHA256)
		}
		if err := stripSignatures(source, path); err != nil {
			return nil, fmt.Errorf("cannot copy %s without its signatures: %w", jar.File, err)
		}
		in.quiet = false
	}
	return files, nil
}

func stripSignatures(from, to string) error {
	return copyJar(from, to, func(name string) bool { return !signature(name) })
}

// signature reports whether a jar's entry makes it a signed one.
func signature(name string) bool {
	rest, ok := strings.CutPrefix(strings.ToUpper(name), "META-INF/")
	if !ok || strings.Contains(rest, "/") {
		return false
	}
	ext := filepath.Ext(rest)
	return ext == ".SF" || ext == ".RSA" || ext == ".DSA" || ext == ".EC"
}

// ownParts copies the driver and the runner of this build, under names made of their content.
func (in *installer) ownParts(ctx context.Context) (driver, runner string, err error) {
	source := filepath.Join(in.Parts, "glaux-driver.jar")
	data, err := os.ReadFile(source)
	if err != nil {
		return "", "", fmt.Errorf("cannot find this build's driver; run: make build: %w", err)
	}
	sum := sha256.Sum256(data)
	driver = filepath.Join(in.Dir, "driver", "glaux-driver-"+hex.EncodeToString(sum[:])[:12]+".jar")
	if _, err := os.Stat(driver); err != nil {
		if err := os.MkdirAll(filepath.Dir(driver), 0o755); err != nil {
			return "", "", err
		}
		if err := writeFile(driver, data); err != nil {
			return "", "", fmt.Errorf("cannot copy the driver: %w", err)
		}
		in.quiet = false
	}
	runner, err = in.copyRunner(ctx, os.DirFS(filepath.Join(in.Parts, "python")))
	if err != nil {
		return "", "", fmt.Errorf("cannot copy the Python runner: %w", err)
	}
	return driver, runner, nil
}

func (in *installer) copyRunner(ctx context.Context, source fs.FS) (string, error) {
	files := make(map[string][]byte)
	var names []string
	err := fs.WalkDir(source, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".py" {
			return err
		}
		names = append(names, name)
		files[name], err = fs.ReadFile(source, name)
		return err
	})
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%s holds no Python files; run: make build", in.Parts)
	}
	sort.Strings(names)
	sum := sha256.New()
	for _, name := range names {
		fmt.Fprintf(sum, "%s %d\n", name, len(files[name]))
		sum.Write(files[name])
	}
	target := filepath.Join(in.Dir, "runner", hex.EncodeToString(sum.Sum(nil))[:12])
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	for _, name := range names {
		path := filepath.Join(temp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return "", err
		}
	}
	python := filepath.Join(in.environmentDir(), "bin", "python")
	// Valid by content, not time: the directory is renamed and read-only to sessions.
	if _, err := command(ctx, temp, python, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", temp, "-p", target, temp); err != nil {
		return "", err
	}
	if err := readable(temp); err != nil {
		return "", err
	}
	in.quiet = false
	return target, os.Rename(temp, target)
}

// classPath lists every jar in one fixed order: the driver first, so that its
// logging configuration is found, then Spark's by name, then ours.
func classPath(spark, driver string, unsigned map[string]string, extra []string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(spark, "jars"))
	if err != nil {
		return nil, fmt.Errorf("cannot list Spark's jars: %w", err)
	}
	path := []string{driver}
	for _, e := range entries { // sorted by name
		if copied, ok := unsigned[e.Name()]; ok {
			path = append(path, copied)
		} else if filepath.Ext(e.Name()) == ".jar" {
			path = append(path, filepath.Join(spark, "jars", e.Name()))
		}
	}
	return append(path, extra...), nil
}

// archiveKey names what a start-up archive is good for: this Java and these
// jars in this order, told apart as Java does, by size and time.
func archiveKey(r Runtime) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, r.Java, r.JavaVersion)
	for _, flag := range r.Flags {
		fmt.Fprintln(sum, flag)
	}
	for _, path := range r.ClassPath {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, path, info.Size(), info.ModTime().Unix())
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

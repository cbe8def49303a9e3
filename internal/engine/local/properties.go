package local

import (
	"fmt"
	"maps"
	"math"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"glaux/internal/engine"
)

// fixed are the properties that a session cannot set, because the launcher's
// own value is part of how a driver is run here. A session that gives another
// value is refused.
var fixed = []string{
	"spark.master",
	"spark.submit.deployMode",
	"spark.app.id",
	"spark.driver.host",
	"spark.driver.bindAddress",
	"spark.authenticate",
	"spark.authenticate.secret",
}

// replaced are the properties whose value a session may give but that are set
// to the launcher's all the same: they name places and servers of this machine.
var replaced = []string{
	"spark.local.dir",
	"spark.ui.enabled",
	"spark.ui.showConsoleProgress",
	"spark.ui.killEnabled",
}

// ours are the beginnings of the names of properties that are the service's
// as a whole: what a session says of them has no effect.
var ours = []string{"spark.eventLog.", "spark.history.", "spark.glaux."}

// maxEventLog bounds the event log of one SparkContext, bytes: to show it,
// all of it is read into memory.
const maxEventLog = 256 << 20

// place is what the defaults refer to.
type place struct {
	work     string // the session's work directory
	endpoint string // http://127.0.0.1:PORT
	secret   string // of spark.authenticate
}

// defaults returns the launcher's properties for a spec.
func defaults(spec engine.Spec, at place) map[string]string {
	warehouse := spec.Warehouse
	if warehouse == "" {
		warehouse = filepath.Join(at.work, "warehouse")
	}
	p := map[string]string{
		"spark.master":                 fmt.Sprintf("local[%d]", max(1, spec.Cores)),
		"spark.submit.deployMode":      "client",
		"spark.app.id":                 string(spec.Key),
		"spark.app.name":               "session " + string(spec.Key),
		"spark.driver.host":            "127.0.0.1",
		"spark.driver.bindAddress":     "127.0.0.1",
		"spark.authenticate":           "true",
		"spark.authenticate.secret":    at.secret,
		"spark.local.dir":              filepath.Join(at.work, "tmp"),
		"spark.ui.enabled":             "false",
		"spark.ui.showConsoleProgress": "false",
		"spark.ui.killEnabled":         "false",
		"spark.sql.warehouse.dir":      warehouse,
		// The driver jar's: the magic committer, or the plain one where that cannot do it.
		"spark.sql.sources.commitProtocolClass":              "glaux.CommitProtocol",
		"spark.sql.parquet.output.committer.class":           "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
		"spark.sql.execution.arrow.pyspark.enabled":          "true",
		"spark.sql.execution.arrow.pyspark.fallback.enabled": "true",

		// Uploads are buffered there; the default is one directory in /tmp for all
		// sessions, which only the first session's uid could write.
		"spark.hadoop.hadoop.tmp.dir": filepath.Join(at.work, "tmp", "hadoop"),

		"spark.hadoop.fs.s3a.endpoint":                   at.endpoint,
		"spark.hadoop.fs.s3a.endpoint.region":            spec.Region,
		"spark.hadoop.fs.s3a.path.style.access":          "true",
		"spark.hadoop.fs.s3a.connection.ssl.enabled":     "false",
		"spark.hadoop.fs.s3a.directory.marker.retention": "keep",
		"spark.hadoop.fs.s3a.committer.name":             "magic",
		"spark.hadoop.fs.s3a.committer.magic.enabled":    "true",
		// Despite its name it asks the container's endpoint first, and again
		// before what it got expires.
		"spark.hadoop.fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.auth.IAMInstanceCredentialsProvider",
	}
	if spec.EventLog != "" {
		// In files of a size that can be delivered one by one. Plain text: its last
		// lines can be read after a crash, and starting to compress costs the start.
		p["spark.eventLog.enabled"] = "true"
		p["spark.eventLog.dir"] = (&url.URL{Scheme: "file", Path: spec.EventLog}).String()
		p["spark.eventLog.rolling.enabled"] = "true"
		p["spark.eventLog.rolling.maxFileSize"] = "16m"
		p["spark.eventLog.compress"] = "false"
	}
	for _, scheme := range []string{"s3", "s3a", "s3n"} {
		p["spark.hadoop.fs."+scheme+".impl"] = "org.apache.hadoop.fs.s3a.S3AFileSystem"
		p["spark.hadoop.mapreduce.outputcommitter.factory.scheme."+scheme] = "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory"
	}
	return p
}

// merge lays the session's properties over the defaults. The error says which
// one cannot be honoured and why.
func merge(spec engine.Spec, base map[string]string) (map[string]string, error) {
	out := maps.Clone(base)
	for _, k := range slices.Sorted(maps.Keys(spec.Properties)) {
		v := spec.Properties[k]
		switch {
		case !strings.HasPrefix(k, "spark."):
			continue // as AWS does: only these count
		case slices.Contains(fixed, k) && strings.TrimSpace(v) != base[k]:
			return nil, fmt.Errorf("the Spark property %s cannot be set for a session", k)
		case slices.Contains(fixed, k), slices.Contains(replaced, k), slices.ContainsFunc(ours, func(p string) bool { return strings.HasPrefix(k, p) }):
			continue
		}
		out[k] = v
	}
	return out, nil
}

// javaOptions returns the JVM options of spark.driver.defaultJavaOptions and
// spark.driver.extraJavaOptions, which Spark itself reads only on the command
// line of spark-submit.
func javaOptions(p map[string]string) ([]string, error) {
	var out []string
	for _, key := range []string{"spark.driver.defaultJavaOptions", "spark.driver.extraJavaOptions"} {
		words, err := split(p[key])
		if err != nil {
			return nil, fmt.Errorf("%s cannot be parsed: %w", key, err)
		}
		for _, w := range words {
			if why := refusedOption(w); why != "" {
				return nil, fmt.Errorf("%s cannot hold %q: %s", key, w, why)
			}
			if strings.HasPrefix(w, "-XX:+Use") && strings.HasSuffix(w, "GC") && w != "-XX:+UseSerialGC" {
				out = append(out, "-XX:-UseSerialGC") // ours; Java refuses two collectors
			}
			if strings.HasPrefix(w, "-XX:MaxHeapFreeRatio=") {
				out = append(out, "-XX:MinHeapFreeRatio=40") // Java's own; it refuses one above the other, as ours may be
			}
			out = append(out, w)
		}
	}
	return out, nil
}

// refusedOption says why a JVM option cannot be given; "" when it can.
func refusedOption(w string) string {
	has := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(w, p) })
	}
	switch {
	case !strings.HasPrefix(w, "-"):
		return "it is not an option"
	case has("-Xmx", "-XX:MaxHeapSize", "-XX:MaxRAM"):
		return "the heap is set with spark.driver.memory"
	case has("-Dspark."):
		return "Spark properties are set as properties of the session"
	case has("-Dglaux.", "-XX:SharedArchiveFile", "-XX:ArchiveClassesAtExit", "-Xshare"):
		return "it is the launcher's"
	case w == "-cp", w == "-jar", w == "-p", w == "-m", has("-classpath", "--class-path", "--module"):
		return "the class path is extended with spark.driver.extraClassPath"
	case has("-XX:-ExitOnOutOfMemoryError", "-XX:Flags", "-XX:VMOptionsFile", "-version", "--version", "-help", "--help", "-?", "-showversion", "--dry-run"):
		return "the driver would not start with it"
	}
	return ""
}

// split splits a string into words as a shell does: blanks separate, quotes
// and backslashes keep.
func split(s string) ([]string, error) {
	var out []string
	var word strings.Builder
	in, quote, escaped := false, rune(0), false
	for _, c := range s {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			in, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			in, quote = true, c
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if in {
				out = append(out, word.String())
				word.Reset()
				in = false
			}
		default:
			in = true
			word.WriteRune(c)
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("a quote is not closed in %q", s)
	}
	if in {
		out = append(out, word.String())
	}
	return out, nil
}

// HeapMiB returns the heap a session's driver gets: what spark.driver.memory
// says, else the fallback. The error is for people.
func HeapMiB(properties map[string]string, fallback int) (int, error) {
	v, ok := properties["spark.driver.memory"]
	if !ok {
		return fallback, nil
	}
	text := strings.ToLower(strings.TrimSpace(v))
	digits := strings.TrimRight(text, "bkmgtp")
	n, err := strconv.ParseInt(digits, 10, 64)
	scale := map[string]float64{
		"": 1, "m": 1, "mb": 1, "b": 1.0 / (1 << 20), "k": 1.0 / (1 << 10), "kb": 1.0 / (1 << 10),
		"g": 1 << 10, "gb": 1 << 10, "t": 1 << 20, "tb": 1 << 20, "p": 1 << 30, "pb": 1 << 30,
	}[text[len(digits):]]
	mib := float64(n) * scale
	const least = 470 // Spark refuses a heap below 450 MiB, of which the JVM reports less than it was given
	switch {
	case err != nil || scale == 0 || n <= 0 || mib > math.MaxInt32:
		return 0, fmt.Errorf("spark.driver.memory cannot be %q: give a size such as 1g or 1536m", v)
	case mib < least:
		return 0, fmt.Errorf("spark.driver.memory cannot be %q: a driver needs at least %dm", v, least)
	}
	return int(mib), nil
}

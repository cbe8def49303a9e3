package warm

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"glaux/internal/engine"
)

// ID names a template by all that it fixes.
type ID [sha256.Size]byte

// template is what drivers that wait are launched with: a spec without what a
// session brings when it claims one.
type template struct {
	id      ID
	spec    engine.Spec // its Key is standIn, wherever a spec has its own
	runtime string
}

// standIn is a driver's key in a template.
const standIn = engine.Key("00000000-0000-0000-0000-000000000000")

// templateOf returns what a driver that waits so is to be launched with to fit
// the spec; ok is false where none can.
func templateOf(spec engine.Spec, wait engine.Wait, runtime string) (t *template, ok bool) {
	if slices.ContainsFunc(spec.Modules.Specs, fetched) {
		return nil, false // with the credentials of a session
	}
	if holdsSecret(&spec, wait) {
		return nil, false // it would outlive its session, in memory and on disk
	}
	if wait == engine.WaitContext && (len(spec.Files) > 0 || slices.ContainsFunc(fetching, func(k string) bool { return spec.Properties[k] != "" })) {
		return nil, false
	}
	key := string(spec.Key)
	spec.EventLog = strings.ReplaceAll(spec.EventLog, key, string(standIn))
	spec.Key, spec.Epoch, spec.AgentToken, spec.Wait, spec.Orphaned = standIn, 0, "", wait, 0
	spec.Args, spec.Display, spec.Notes = nil, "", nil
	spec.Warehouse, spec.Files = "", nil
	spec.Properties = maps.Clone(spec.Properties)
	maps.DeleteFunc(spec.Properties, func(k, _ string) bool { return claimable(k, wait) })
	if spec.Language == engine.Python {
		spec.Language = ""
	}
	// Empty is the same as absent.
	if len(spec.Properties) == 0 {
		spec.Properties = nil
	}
	if len(spec.Env) == 0 {
		spec.Env = nil
	}
	if len(spec.Formats) == 0 {
		spec.Formats = nil
	}
	if len(spec.Modules.Specs) == 0 {
		spec.Modules = engine.Requirements{}
	}
	b, err := json.Marshal(struct {
		Spec    engine.Spec
		Runtime string
	}{spec, runtime})
	if err != nil { // a spec holds nothing that cannot be written down
		return nil, false
	}
	return &template{id: sha256.Sum256(b), spec: spec, runtime: runtime}, true
}

// secretly matches the names of what nobody but its session is to keep.
var secretly = regexp.MustCompile(`(?i)secret|passw|token|credential|access[._-]?key|private[._-]?key|account[._-]?key|sas[._-]`)

// holdsSecret says whether a template of the spec would hold one.
func holdsSecret(spec *engine.Spec, wait engine.Wait) bool {
	for name := range spec.Properties {
		if !claimable(name, wait) && secretly.MatchString(name) {
			return true
		}
	}
	for name := range spec.Env {
		if secretly.MatchString(name) {
			return true
		}
	}
	return false
}

func fetched(requirement string) bool { return strings.Contains(requirement, "://") }

// fetching are the properties for which a context fetches files when it is
// made, as the session does.
var fetching = []string{"spark.jars", "spark.jars.packages", "spark.files", "spark.archives", "spark.submit.pyFiles", "spark.driver.extraClassPath"}

// launched are the properties that a JVM is started with, and those that a
// process reads once.
var launched = []string{
	"spark.driver.memory", "spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions", "spark.driver.extraLibraryPath",
	"spark.sql.codegen.cache.maxEntries", "spark.sql.broadcastExchange.maxThreadThreshold", "spark.sql.subquery.maxThreadThreshold",
	"spark.sql.resultQueryStage.maxThreadThreshold",
}

// static are the properties of SQL that hold for a context as a whole, by
// name or by their beginning (Spark 3.5's StaticSQLConf, and Hive's). The
// driver checks again.
var static = []string{
	"spark.sql.extensions", "spark.sql.catalogImplementation", "spark.sql.globalTempDatabase", "spark.sql.cache.serializer",
	"spark.sql.sources.schemaStringLengthThreshold", "spark.sql.sources.disabledJdbcConnProviderList", "spark.sql.filesourceTableRelationCacheSize",
	"spark.sql.metadataCacheTTLSeconds", "spark.sql.codegen.cache.maxEntries", "spark.sql.codegen.comments", "spark.sql.debug", "spark.sql.event.truncate.length",
	"spark.sql.queryExecutionListeners", "spark.sql.streaming.streamingQueryListeners", "spark.sql.streaming.ui.", "spark.sql.ui.",
	"spark.sql.broadcastExchange.maxThreadThreshold", "spark.sql.subquery.maxThreadThreshold", "spark.sql.resultQueryStage.maxThreadThreshold",
	"spark.sql.legacy.sessionInitWithConfigDefaults", "spark.sql.defaultUrlStreamHandlerFactory.enabled", "spark.sql.hive.", "spark.sql.test.",
}

// claimable says whether a driver that waits so takes the property from the
// session that claims it (measured on Spark 3.5.6).
func claimable(name string, wait engine.Wait) bool {
	if wait == engine.WaitProperties {
		return !slices.Contains(launched, name)
	}
	is := func(s string) bool { return name == s || strings.HasSuffix(s, ".") && strings.HasPrefix(name, s) }
	switch {
	case name == "spark.app.name", name == "spark.sql.warehouse.dir":
		return true
	case strings.HasPrefix(name, "spark.sql."):
		return !slices.ContainsFunc(static, is)
	case strings.HasPrefix(name, "spark.hadoop.fs.s3"):
		return true
	}
	return false
}

// launch is the spec of a driver of the template.
func (t *template) launch(key engine.Key) engine.Spec {
	spec := t.spec
	spec.Key = key
	spec.EventLog = strings.ReplaceAll(spec.EventLog, string(standIn), string(key))
	spec.Properties, spec.Env = maps.Clone(spec.Properties), maps.Clone(spec.Env)
	return spec
}

// differs names what keeps a driver of another template from fitting one of
// this: properties that this one has, by their names, and the rest by the
// field's. What others have asked for is not told.
func (t *template) differs(other *template) []string {
	var names []string
	for k, v := range t.spec.Properties {
		if have, ok := other.spec.Properties[k]; !ok || have != v {
			names = append(names, k)
		}
	}
	a, b := reflect.ValueOf(t.spec), reflect.ValueOf(other.spec)
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if name != "Properties" && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			names = append(names, fields[name])
		}
	}
	if t.runtime != other.runtime {
		names = append(names, "the Spark runtime")
	}
	slices.Sort(names)
	return names
}

// fields are the parts of a spec as people know them.
var fields = map[string]string{
	"Region": "the region", "Cores": "the cores of a driver", "HeapMiB": "the heap of a driver", "MaxOutput": "the bound on output", "MaxLog": "the bound on logs",
	"EventLog": "whether an event log is kept", "Language": "the session language", "Formats": "the table formats", "Modules": "the Python packages", "Env": "the environment variables",
}

// why says what of a wanted template no other has.
func why(wanted *template, have []*template) string {
	var least []string
	for i, t := range have {
		if d := wanted.differs(t); i == 0 || len(d) < len(least) {
			least = d
		}
	}
	switch {
	case len(have) == 0:
		return "no driver waits yet"
	case len(least) == 0:
		return "no driver waits with so few properties set"
	}
	return fmt.Sprintf("no driver waits with this session's configuration of %s", strings.Join(least, ", "))
}

package workgroup

import (
	"regexp"
	"slices"

	"glaux/internal/fault"
	"glaux/internal/object"
)

// Encryption options of results that need a KMS key.
const (
	sseKMS = "SSE_KMS"
	cseKMS = "CSE_KMS"
)

// EngineVersion is one item of ListEngineVersions.
type EngineVersion struct {
	Selected  string // what a workgroup selects
	Effective string // what it then runs on
}

// EngineVersions returns the engine versions that a workgroup can select, in
// the order of ListEngineVersions.
func EngineVersions() []EngineVersion {
	return []EngineVersion{
		{EngineAuto, EngineSQL},
		{EngineSQL, EngineSQL},
		{EnginePySpark, EnginePySpark},
		{EngineSpark35, EngineSpark35},
	}
}

// normalize brings a configuration into the form it reads back in: no engine
// selected means AUTO, and the monitoring as Effective says.
func (c *Config) normalize() {
	if c.SelectedEngine == "" {
		c.SelectedEngine = EngineAuto
	}
	c.Monitoring = c.Monitoring.Effective()
}

// Effective returns m in the form it reads back in, of a workgroup and of a
// session: a log delivery that is off is gone, and
// managed logging that is off has nothing but that. nil of nil.
func (m *Monitoring) Effective() *Monitoring {
	if m == nil {
		return nil
	}
	e := *m
	if e.CloudWatch != nil && !e.CloudWatch.Enabled {
		e.CloudWatch = nil
	}
	if e.S3 != nil && !e.S3.Enabled {
		e.S3 = nil
	}
	if e.Managed != nil && !e.Managed.Enabled {
		e.Managed = &ManagedLogging{}
	}
	return &e
}

// check refuses what a workgroup cannot be configured with. Single members
// were checked against the model's constraints before.
func (c Config) check() error {
	if err := checkEngine(c.SelectedEngine); err != nil {
		return err
	}
	center := c.IdentityCenter != nil && c.IdentityCenter.Enabled != nil && *c.IdentityCenter.Enabled
	if (c.Spark() || center) && c.ExecutionRole == "" {
		return fault.Invalidf("executionRole is null or empty")
	}
	if err := c.Result.check(); err != nil {
		return err
	}
	if err := c.Monitoring.Check(); err != nil {
		return err
	}
	managed := c.ManagedResults != nil && c.ManagedResults.Enabled
	if managed && c.Result != nil && c.Result.OutputLocation != "" {
		return fault.Invalidf("Managed query results cannot be enabled together with an output location.")
	}
	return c.Engine.Check(c.Effective())
}

// checkEngine refuses an engine version that no workgroup can select.
func checkEngine(selected string) error {
	if slices.ContainsFunc(EngineVersions(), func(v EngineVersion) bool { return v.Selected == selected }) {
		return nil
	}
	return fault.Invalidf("Engine version %s is not supported.", selected)
}

// location is what the location of results or logs looks like.
var location = regexp.MustCompile(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?$`)

// validLocation reports whether objects can be at or below a location: none can
// where a segment is "." or "..", in whichever store.
func validLocation(text string) bool {
	at, err := object.ParseURI(text)
	return err == nil && location.MatchString(text) && at.Possible()
}

func (r *ResultConfig) check() error {
	if r == nil {
		return nil
	}
	if r.OutputLocation != "" && !validLocation(r.OutputLocation) {
		return fault.Invalidf("outputLocation is not a valid S3 path.")
	}
	if (r.EncryptionOption == sseKMS || r.EncryptionOption == cseKMS) && r.KMSKey == "" {
		return fault.Invalidf("kmsKey is null or empty")
	}
	return nil
}

// Classification names.
const (
	SparkDefaults = "spark-defaults"                 // Spark properties of a session
	QueryDPUs     = "athena-query-engine-properties" // DPUs of SQL queries
)

// maxSessionDPUs is what a session on PySpark engine version 3 may have.
const maxSessionDPUs = 60

// Check refuses what the engine cannot be configured with, in a workgroup as
// well as in a session. A nil configuration is good.
func (e *EngineConfig) Check(engine string) error {
	if e == nil {
		return nil
	}
	switch engine {
	case EnginePySpark:
		if e.MaxConcurrentDPUs != nil && *e.MaxConcurrentDPUs > maxSessionDPUs {
			return fault.Invalidf("MaxConcurrentDpus must not be greater than %d for %s.", maxSessionDPUs, engine)
		}
		return e.checkNames(engine, SparkDefaults)
	case EngineSpark35:
		for _, m := range []struct {
			name string
			set  bool
		}{
			{"CoordinatorDpuSize", e.CoordinatorDPUs != nil},
			{"DefaultExecutorDpuSize", e.ExecutorDPUs != nil},
			{"SparkProperties", len(e.SparkProperties) > 0},
		} {
			if m.set {
				return fault.Invalidf("%s is not supported for %s; use Classifications.", m.name, engine)
			}
		}
		return e.checkNames(engine, SparkDefaults)
	default:
		if err := e.checkNames(engine, QueryDPUs); err != nil {
			return err
		}
		for _, c := range e.Classifications {
			for key := range c.Properties {
				if key != "min-dpu-count" && key != "max-dpu-count" {
					return fault.Invalidf("Property %s is not supported in the classification %s.", key, c.Name)
				}
			}
		}
		return nil
	}
}

// checkNames refuses classifications other than the one the engine knows, and
// one given twice.
func (e *EngineConfig) checkNames(engine, only string) error {
	for i, c := range e.Classifications {
		if c.Name != only {
			return fault.Invalidf("Classification %s is not supported for %s.", c.Name, engine)
		}
		if i > 0 {
			return fault.Invalidf("Classification %s is given more than once.", c.Name)
		}
	}
	return nil
}

// EventLogs reports whether anybody wants Spark's event logs: the service, or
// the delivery to S3. m may be nil.
func (m *Monitoring) EventLogs() bool { return m.ManagedLogs() || m.S3 != nil && m.S3.Enabled }

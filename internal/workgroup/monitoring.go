package workgroup

import (
	"maps"
	"slices"
	"unicode/utf8"

	"glaux/internal/fault"
	"glaux/internal/logs"
)

// The keys and values of CloudWatchLogging.LogTypes.
const (
	SparkDriver   = "SPARK_DRIVER"
	SparkExecutor = "SPARK_EXECUTOR"
	LogStdout     = "STDOUT"
	LogStderr     = "STDERR"
)

// streamRoom is how many characters of a log stream's name are left for what
// follows the prefix: the session, the process and the stream.
const streamRoom = 64

// Check refuses what logs cannot be delivered with, in a workgroup as well as
// in a session. Single members were checked against the model's constraints
// before. A nil configuration is good.
func (m *Monitoring) Check() error {
	if m == nil {
		return nil
	}
	if err := m.CloudWatch.check(); err != nil {
		return err
	}
	return m.S3.check()
}

func (s *S3Logging) check() error {
	switch {
	case s == nil || !s.Enabled: // the rest of a block that is off is forgotten
		return nil
	case s.LogLocation == nil || *s.LogLocation == "":
		return fault.Invalidf("logLocation is null or empty")
	case !validLocation(*s.LogLocation):
		return fault.Invalidf("logLocation is not a valid S3 path.")
	}
	return nil
}

func (c *CloudWatchLogging) check() error {
	if c == nil || !c.Enabled { // as with S3
		return nil
	}
	if c.LogGroup != nil {
		g := logs.Group{Name: *c.LogGroup}
		switch {
		case !logs.ValidGroup(g.Name):
			return fault.Invalidf("LogGroup %s is not a valid log group name.", g.Name)
		case g.Managed():
			return fault.Invalidf("LogGroup %s is reserved for the service.", g.Name)
		}
	}
	if p := c.StreamPrefix; p != nil && utf8.RuneCountInString(*p) > 512-streamRoom {
		return fault.Invalidf("LogStreamNamePrefix must not be longer than %d characters.", 512-streamRoom)
	}
	for _, process := range slices.Sorted(maps.Keys(c.LogTypes)) {
		if process != SparkDriver && process != SparkExecutor {
			return fault.Invalidf("Log type %s is not supported; the supported ones are %s and %s.", process, SparkDriver, SparkExecutor)
		}
		for _, stream := range c.LogTypes[process] {
			if stream != LogStdout && stream != LogStderr {
				return fault.Invalidf("Log type %s of %s is not supported; the supported ones are %s and %s.", stream, process, LogStdout, LogStderr)
			}
		}
	}
	return nil
}

// ManagedLogs reports whether the service keeps logs on its own side: it does
// unless that is turned off.
func (m *Monitoring) ManagedLogs() bool { return m == nil || m.Managed == nil || m.Managed.Enabled }

// Wants reports whether a stream of a process is delivered: all are where no
// types are named, and both streams where a process is named without any.
func (c *CloudWatchLogging) Wants(process, stream string) bool {
	if len(c.LogTypes) == 0 {
		return true
	}
	streams, named := c.LogTypes[process]
	return named && (len(streams) == 0 || slices.Contains(streams, stream))
}

// Group is the log group that a workgroup's sessions are delivered to.
func (c *CloudWatchLogging) Group(workgroup string) string {
	if c.LogGroup != nil && *c.LogGroup != "" {
		return *c.LogGroup
	}
	return "/aws-athena/" + workgroup
}

package ident

import "strings"

// ManagedLogs begins the name of the log group of a workgroup's managed logs;
// the workgroup's name follows.
const ManagedLogs = "/glaux/managed/"

// GlueLogs begins the names of the log groups that all Glue sessions write to.
// The streams of a session end with an underscore and the first KeyInStream
// characters of its key.
const (
	GlueLogs    = "/aws-glue/sessions/"
	KeyInStream = 8
)

// LogGroup returns the ARN of a CloudWatch log group, without the ":*" that
// some forms have.
func (h Home) LogGroup(name string) string {
	return "arn:" + h.Partition + ":logs:" + h.Region + ":" + h.Account + ":log-group:" + name
}

// LogStream returns the ARN of a log stream. An empty stream gives the
// resource that AWS names for a whole group.
func (h Home) LogStream(group, stream string) string {
	return h.LogGroup(group) + ":log-stream:" + stream
}

// ParseLogGroup returns the name of the log group that an ARN of the same home
// names, with or without ":*". It reports false for every other text.
func (h Home) ParseLogGroup(arn string) (string, bool) {
	name, ok := strings.CutPrefix(arn, h.LogGroup(""))
	name = strings.TrimSuffix(name, ":*")
	return name, ok && name != "" && !strings.Contains(name, ":")
}

package ident

import "strings"

// ManagedLogs begins the name of the log group of a workgroup's managed logs;
// the workgroup's name follows.
const ManagedLogs = "/glaux/managed/"

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

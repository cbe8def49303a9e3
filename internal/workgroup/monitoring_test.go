package workgroup

import (
	"strings"
	"testing"
)

func TestMonitoringIsChecked(t *testing.T) {
	group := func(g string) *Monitoring {
		return &Monitoring{CloudWatch: &CloudWatchLogging{Enabled: true, LogGroup: &g}}
	}
	at := func(location string) *Monitoring {
		return &Monitoring{S3: &S3Logging{Enabled: true, LogLocation: &location}}
	}
	types := func(process string, streams ...string) *Monitoring {
		return &Monitoring{CloudWatch: &CloudWatchLogging{Enabled: true, LogTypes: map[string][]string{process: streams}}}
	}
	for name, c := range map[string]struct {
		m    *Monitoring
		want string // part of the refusal; empty: none
	}{
		"none":              {nil, ""},
		"empty":             {&Monitoring{}, ""},
		"managed off":       {&Monitoring{Managed: &ManagedLogging{}}, ""},
		"default group":     {&Monitoring{CloudWatch: &CloudWatchLogging{Enabled: true}}, ""},
		"group":             {group("/a/b"), ""},
		"reserved group":    {group("/glaux/managed/w"), "reserved for the service"},
		"group of AWS":      {group("aws/x"), "not a valid log group name"},
		"group with colon":  {group("a:b"), "not a valid log group name"},
		"prefix":            {&Monitoring{CloudWatch: &CloudWatchLogging{Enabled: true, StreamPrefix: new(strings.Repeat("é", 448))}}, ""},
		"long prefix":       {&Monitoring{CloudWatch: &CloudWatchLogging{Enabled: true, StreamPrefix: new(strings.Repeat("é", 449))}}, "LogStreamNamePrefix"},
		"types":             {types(SparkDriver, LogStdout, LogStderr), ""},
		"no types":          {types(SparkExecutor), ""},
		"unknown process":   {types("SPARK"), "Log type SPARK is not supported"},
		"unknown stream":    {types(SparkDriver, "stdout"), "Log type stdout of SPARK_DRIVER is not supported"},
		"location":          {&Monitoring{S3: &S3Logging{Enabled: true, LogLocation: new("s3://b-b/x")}}, ""},
		"off":               {&Monitoring{S3: &S3Logging{}}, ""},
		"no location":       {&Monitoring{S3: &S3Logging{Enabled: true}}, "logLocation is null or empty"},
		"bad location":      {&Monitoring{S3: &S3Logging{Enabled: true, LogLocation: new("s3://b")}}, "logLocation is not a valid S3 path"},
		"way up":            {at("s3://bucket/../x"), "logLocation is not a valid S3 path"},
		"no way":            {at("s3://a--b/./x"), "logLocation is not a valid S3 path"},
		"way up at the end": {at("s3://bucket/x/.."), "logLocation is not a valid S3 path"},
		"bad bucket":        {at("s3://a..b/x"), "logLocation is not a valid S3 path"},
		"dots":              {at("s3://a--b/.../.x/y.."), ""},
		"all wrong, off": {&Monitoring{CloudWatch: &CloudWatchLogging{
			LogGroup: new("/glaux/x"), StreamPrefix: new(strings.Repeat("x", 512)), LogTypes: map[string][]string{"X": nil},
		}}, ""},
		"bad location, off": {&Monitoring{S3: &S3Logging{LogLocation: new("/tmp")}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.m.Check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestMonitoringSaysWhatIsDelivered(t *testing.T) {
	var none *Monitoring
	if !none.ManagedLogs() || !(&Monitoring{}).ManagedLogs() || (&Monitoring{Managed: &ManagedLogging{}}).ManagedLogs() {
		t.Error("managed logging is on unless it is turned off")
	}
	c := &CloudWatchLogging{}
	if !c.Wants(SparkDriver, LogStdout) || c.Group("w") != "/aws-athena/w" {
		t.Error("without types everything is delivered, to the workgroup's group")
	}
	c.LogTypes, c.LogGroup = map[string][]string{SparkDriver: {LogStderr}}, new("g")
	if c.Wants(SparkDriver, LogStdout) || !c.Wants(SparkDriver, LogStderr) || c.Wants(SparkExecutor, LogStderr) || c.Group("w") != "g" {
		t.Error("types and group are not honoured")
	}
	c.LogTypes[SparkDriver] = nil
	if !c.Wants(SparkDriver, LogStdout) {
		t.Error("a process without streams is delivered whole")
	}
}

package argument

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"glaux/internal/engine"
	"glaux/internal/fault"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		given map[string]string
		want  Effect // without Args
	}{
		"nothing": {},
		"a chain": {
			map[string]string{"--conf": "spark.a=1 --conf spark.b=x = y z  --conf  spark.c= --conf=spark.a=2"},
			Effect{Properties: map[string]string{"spark.a": "2", "spark.b": "x = y z", "spark.c": ""}},
		},
		"a chain that begins with --conf, over lines": {
			map[string]string{"--conf": " --conf spark.a=--config\n\t--conf spark.b=c:--conf-x\n"},
			Effect{Properties: map[string]string{"spark.a": "--config", "spark.b": "c:--conf-x"}},
		},
		"an empty chain": {map[string]string{"--conf": " "}, Effect{}},
		"libraries": {
			map[string]string{
				"--conf": "spark.jars=s3://b/0.jar", "--extra-jars": "s3://b/1.jar, s3://b/2.jar", "--extra-py-files": "s3://b/m.py,,s3://b/p.zip",
				"--extra-files": "s3://b/a.txt", "--user-jars-first": "True",
			},
			Effect{Files: []string{"s3://b/a.txt"}, Properties: map[string]string{
				"spark.jars": "s3://b/0.jar,s3://b/1.jar,s3://b/2.jar", "spark.submit.pyFiles": "s3://b/m.py,s3://b/p.zip", "spark.driver.userClassPathFirst": "true",
			}},
		},
		"jars not first": {map[string]string{"--user-jars-first": "false"}, Effect{}},
		"formats": {
			map[string]string{"--datalake-formats": "iceberg, Delta,hudi,iceberg"},
			Effect{Formats: []string{Delta, Hudi, Iceberg}},
		},
		"modules": {
			map[string]string{"--additional-python-modules": "a==1,b[x,y]>=1,<2, s3://k/c-1-py3-none-any.whl ,", "--python-modules-installer-option": `--no-deps --index-url 'http://h/a b'`},
			Effect{Modules: engine.Requirements{Specs: []string{"a==1", "b[x,y]>=1,<2", "s3://k/c-1-py3-none-any.whl"}, Options: []string{"--no-deps", "--index-url", "http://h/a b"}}},
		},
		"variables": {
			map[string]string{"--customer-driver-env-vars": `CUSTOMER_A=1, CUSTOMER_B="v,w x"`, "--customer-executor-env-vars": "CUSTOMER_C=a=b"},
			Effect{
				Env: map[string]string{"CUSTOMER_A": "1", "CUSTOMER_B": "v,w x"}, Properties: map[string]string{"spark.executorEnv.CUSTOMER_C": "a=b"},
				Notes: []string{"--customer-executor-env-vars reaches the Python processes of tasks only: executors share the driver's JVM here."},
			},
		},
		"language":       {map[string]string{"--session-language": "scala", "--language": "python"}, Effect{Language: engine.Scala}},
		"language alone": {map[string]string{"--language": "Python"}, Effect{Language: engine.Python}},
		"places": {
			map[string]string{"--TempDir": "s3://b/t/", "--enable-spark-ui": "true", "--spark-event-logs-path": "s3://buc/logs/"},
			Effect{TempDir: "s3://b/t/", EventLogs: "s3://buc/logs/"},
		},
		"event logs turned off": {
			map[string]string{"--enable-spark-ui": "false", "--spark-event-logs-path": "s3://buc/logs"},
			Effect{Notes: []string{"--spark-event-logs-path has no effect without --enable-spark-ui true."}},
		},
		"switches": {
			map[string]string{"--enable-spark-live-ui": "true", "--enable-continuous-cloudwatch-log": "TRUE", "--enable-metrics": "", "--enable-auto-scaling": "false"},
			Effect{LiveUI: true, ContinuousLogs: true, Notes: []string{"--enable-metrics has no effect: no metrics are sent to CloudWatch; the Spark UI and the server's own metrics show the work."}},
		},
		"the user's own": {map[string]string{"--redshift_url": "x", "JOB_NAME": "y", "--glue_kernel_version": "1.0.9", "--connection-names": "a,b"}, Effect{}},
		"bookmarks":      {map[string]string{"--job-bookmark-option": "job-bookmark-enable"}, Effect{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(c.given)
			if err != nil {
				t.Fatal(err)
			}
			want := c.want
			want.Args = got.Args
			if !reflect.DeepEqual(got, want) {
				t.Errorf("Parse\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestEveryArgumentReachesTheProgram(t *testing.T) {
	given := map[string]string{"--b": "2 3", "--a": "", "--conf": "spark.x=1", "plain": "x"}
	e, err := Parse(given)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"--a", "", "--b", "2 3", "--conf", "spark.x=1", "plain", "x"}; !slices.Equal(e.Args, want) {
		t.Errorf("Args = %q, want %q", e.Args, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"--conf", "spark.a", `"spark.a" is not of the form key=value`},
		{"--conf", "spark.a=1 --conf", "it has a --conf without a property"},
		{"--conf", "--conf --conf spark.a=1", "it has a --conf without a property"},
		{"--conf", "spark.a=1 --conf hive.b=2", `the key "hive.b" does not start with spark.`},
		{"--conf", "spark.a=1 --conf spark. =2", `the key "spark." does not start with spark.`},
		{"--conf", "spark.a spark.b=2", `the key "spark.a spark.b" holds a blank; properties are separated by --conf`},
		{"--datalake-formats", "iceberg,paimon", `"paimon" is not one of hudi, delta, iceberg`},
		{"--user-jars-first", "maybe", `"maybe" is neither true nor false`},
		{"--enable-metrics", "1", `"1" is neither true nor false`},
		{"--enable-glue-datacatalog", "x", `"x" is neither true nor false`},
		{"--enable-spark-ui", "x", `"x" is neither true nor false`},
		{"--enable-spark-live-ui", "x", `"x" is neither true nor false`},
		{"--enable-continuous-cloudwatch-log", "x", `"x" is neither true nor false`},
		{"--session-language", "r", `"r" is neither python nor scala`},
		{"--language", "", `"" is neither python nor scala`},
		{"--spark-event-logs-path", "/logs", `"/logs" is no location in S3 that objects can have`},
		{"--spark-event-logs-path", "s3:///x", `"s3:///x" is no location in S3 that objects can have`},
		{"--spark-event-logs-path", "s3://bucket/../x", `"s3://bucket/../x" is no location in S3 that objects can have`},
		{"--job-bookmark-option", "enable", `"enable" is not one of job-bookmark-enable, job-bookmark-disable, job-bookmark-pause`},
		{"--additional-python-modules", "a, --index-url=http://h", `"--index-url=http://h" is an option; give those in --python-modules-installer-option`},
		{"--python-modules-installer-option", "--target /x", "--target cannot be set for a session"},
		{"--python-modules-installer-option", "-t/x", "-t/x cannot be set for a session"},
		{"--python-modules-installer-option", "--prefix=/x", "--prefix cannot be set for a session"},
		{"--python-modules-installer-option", "'x", "a quote is not closed"},
		{"--customer-driver-env-vars", "PATH=/x", `the key "PATH" does not start with CUSTOMER_, or holds more than letters, digits and underscores`},
		{"--customer-driver-env-vars", "CUSTOMER_A", `"CUSTOMER_A" is not of the form key=value`},
		{"--customer-driver-env-vars", `CUSTOMER_A="x`, "a quote is not closed"},
		{"--customer-executor-env-vars", "CUSTOMER-A=1", `the key "CUSTOMER-A" does not start with CUSTOMER_, or holds more than letters, digits and underscores`},
	} {
		_, err := Parse(map[string]string{c.name: c.value})
		want := "The value of argument " + c.name + " is not valid: " + c.want + "."
		if err == nil || err.Error() != want || fault.Of(err) != fault.Invalid {
			t.Errorf("%s %q: %v\nwant %s", c.name, c.value, err, want)
		}
	}
}

func FuzzConf(f *testing.F) {
	for _, s := range []string{"spark.a=1", "spark.a=b --conf spark.c=d e", "--conf spark.a==", "spark.a=1 --conf", " --conf=spark.x=y", "spark.a=1\n--conf\tspark.b=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, chain string) {
		got, err := parseConf(chain)
		if err != nil {
			if fault.Of(err) != fault.Invalid {
				t.Fatalf("%q: %v", chain, err)
			}
			return
		}
		var parts []string
		for _, kv := range got {
			if !strings.HasPrefix(kv[0], "spark.") || strings.ContainsAny(kv[0], " \t\n=") || strings.TrimSpace(kv[1]) != kv[1] {
				t.Fatalf("%q: property %q", chain, kv)
			}
			parts = append(parts, kv[0]+"="+kv[1])
		}
		again, err := parseConf(strings.Join(parts, " --conf "))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%q: read back %q, %v, want %q", chain, again, err, got)
		}
	})
}

func FuzzSpecs(f *testing.F) {
	f.Add("a==1,b[x,y]>=1,<2")
	f.Fuzz(func(t *testing.T, v string) {
		got, err := specs(v)
		if err != nil {
			return
		}
		if again, err := specs(strings.Join(got, ",")); err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q: %q, read back %q, %v", v, got, again, err)
		}
	})
}

func FuzzVariables(f *testing.F) {
	f.Add(`CUSTOMER_A=1,CUSTOMER_B="v,w x"`)
	f.Fuzz(func(t *testing.T, v string) {
		got, _ := variables("--customer-driver-env-vars", v)
		for k := range maps.Keys(got) {
			if !strings.HasPrefix(k, "CUSTOMER_") {
				t.Fatalf("%q: sets %q", v, k)
			}
		}
	})
}

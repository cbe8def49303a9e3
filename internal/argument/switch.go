package argument

import (
	"slices"
	"strings"

	"glaux/internal/engine"
	"glaux/internal/workgroup"
)

// language reads --session-language, and --language as Spark Connect's
// documentation writes it.
func (p *parser) language() error {
	for _, name := range []string{"--language", "--session-language"} { // the last one wins
		v, ok := p.given[name]
		if !ok {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "python":
			p.out.Language = engine.Python
		case "scala":
			p.out.Language = engine.Scala
		default:
			return refuse(name, "%q is neither python nor scala", v)
		}
	}
	return nil
}

// places reads the locations that Glue itself writes to.
func (p *parser) places() error {
	p.out.TempDir = strings.TrimSpace(p.given["--TempDir"])
	ui, err := p.on("--enable-spark-ui")
	if err != nil {
		return err
	}
	logs := strings.TrimSpace(p.given["--spark-event-logs-path"])
	if logs != "" {
		m := workgroup.Monitoring{S3: &workgroup.S3Logging{Enabled: true, LogLocation: &logs}}
		if m.Check() != nil {
			return refuse("--spark-event-logs-path", "%q is no location in S3 that objects can have", logs)
		}
	}
	switch {
	case ui && logs != "":
		p.out.EventLogs = logs
	case ui:
		p.note("--enable-spark-ui delivers no event log without --spark-event-logs-path. GetDashboardUrl shows the Spark UI with --enable-spark-live-ui true.")
	case logs != "":
		p.note("--spark-event-logs-path has no effect without --enable-spark-ui true.")
	}
	return nil
}

// switches reads the flags that have an effect here.
func (p *parser) switches() (err error) {
	if p.out.LiveUI, err = p.on("--enable-spark-live-ui"); err != nil {
		return err
	}
	p.out.ContinuousLogs, err = p.on("--enable-continuous-cloudwatch-log")
	return err
}

// bookmarks are the values of --job-bookmark-option.
var bookmarks = []string{"job-bookmark-enable", "job-bookmark-disable", "job-bookmark-pause"}

// idle are arguments that Glue knows and that have no effect here, with the
// reason. They are flags unless their value says otherwise.
var idle = []struct {
	name string
	flag bool
	why  string
}{
	{"--enable-auto-scaling", true, "the session has all its task slots from its start and keeps them"},
	{"--enable-metrics", true, "no metrics are sent to CloudWatch; the Spark UI and the server's own metrics show the work"},
	{"--enable-observability-metrics", true, "no metrics are sent to CloudWatch"},
	{"--enable-job-insights", true, "there are no run insights"},
	{"--enable-rename-algorithm-v2", true, "output is committed without renames in any case"},
	{"--enable-s3-parquet-optimized-committer", true, "output is committed without renames in any case"},
	{"--enable-lakeformation-fine-grained-access", true, "there is no Lake Formation"},
	{"--continuous-log-logGroup", false, "logs go to the group of the session's monitoring"},
	{"--continuous-log-logStreamPrefix", false, "streams are named by the session"},
	{"--continuous-log-conversionPattern", false, "lines keep the driver's own pattern"},
	{"--enable-continuous-log-filter", true, "logs are not filtered"},
	{"--write-shuffle-files-to-s3", true, "what is shuffled stays on the machine"},
	{"--write-shuffle-spills-to-s3", true, "what is shuffled stays on the machine"},
	{"--auto-scale-within-microbatch", true, "the session has all its task slots from its start and keeps them"},
	{"--executor-cores", false, "the number of task slots is the server's"},
	{"--disable-proxy", true, "there is no proxy"},
}

// rest checks what is left of the arguments Glue knows, and notes those that
// have no effect here. All of them reach sys.argv.
func (p *parser) rest() error {
	if v, ok := p.given["--job-bookmark-option"]; ok && !slices.Contains(bookmarks, strings.TrimSpace(v)) {
		return refuse("--job-bookmark-option", "%q is not one of %s", v, strings.Join(bookmarks, ", "))
	}
	catalog, err := p.on("--enable-glue-datacatalog")
	if err != nil {
		return err
	}
	if catalog {
		p.note("--enable-glue-datacatalog: there is no Data Catalog yet; tables are in the session's own catalog and end with it.")
	}
	for _, a := range idle {
		_, asked := p.given[a.name]
		if a.flag {
			if asked, err = p.on(a.name); err != nil {
				return err
			}
		}
		if !asked {
			continue
		}
		p.note(a.name + " has no effect: " + a.why + ".")
	}
	return nil
}

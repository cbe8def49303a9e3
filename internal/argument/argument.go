// Package argument says what the DefaultArguments of an AWS Glue session mean
// for its driver. It reads, checks and translates; nothing is fetched here.
package argument

import (
	"maps"
	"slices"
	"strings"

	"glaux/internal/engine"
	"glaux/internal/fault"
)

// Effect is what the arguments of a session ask for. Its zero value asks for
// nothing.
type Effect struct {
	Properties     map[string]string   // Spark properties, keys start with "spark."
	Args           []string            // sys.argv[1:]: every argument as name and value, by name
	Env            map[string]string   // of the driver's processes
	Language       engine.Language     // empty: not said
	Formats        []string            // table formats, sorted, each once
	Modules        engine.Requirements // Python packages
	Files          []string            // for the work directory
	TempDir        string              // empty: none
	EventLogs      string              // s3:// location of the Spark event log; empty: none
	LiveUI         bool                // the Spark UI of the running session may be seen
	ContinuousLogs bool                // logs go to CloudWatch while the session runs
	Notes          []string            // what was asked for and has no effect here, for people
}

// The table formats whose jars a session can ask for.
const (
	Iceberg = "iceberg"
	Delta   = "delta"
	Hudi    = "hudi"
)

// Parse reads a session's arguments. The error is a fault of kind Invalid that
// names the argument, and the part of it, that cannot be honoured. An argument
// that nothing here knows is the user's own: it only reaches sys.argv.
func Parse(arguments map[string]string) (Effect, error) {
	p := parser{given: arguments, out: Effect{Args: args(arguments)}}
	for _, read := range []func() error{
		p.conf, p.libraries, p.formats, p.modules, p.variables, p.language, p.places, p.switches, p.rest,
	} {
		if err := read(); err != nil {
			return Effect{}, err
		}
	}
	return p.out, nil
}

// args are what sys.argv holds behind the program: in an order that does not
// change from start to start. A flag without a value is followed by an empty
// string, so that names and values alternate.
func args(arguments map[string]string) []string {
	out := make([]string, 0, 2*len(arguments))
	for _, k := range slices.Sorted(maps.Keys(arguments)) {
		out = append(out, k, arguments[k])
	}
	return out
}

// parser is one call of Parse. Each method reads a group of arguments.
type parser struct {
	given map[string]string
	out   Effect
}

// set sets a Spark property.
func (p *parser) set(name, value string) {
	if p.out.Properties == nil {
		p.out.Properties = map[string]string{}
	}
	p.out.Properties[name] = value
}

// extend puts items behind those that a property of a comma list has.
func (p *parser) extend(name string, items []string) {
	if len(items) == 0 {
		return
	}
	if old := p.out.Properties[name]; strings.TrimSpace(old) != "" {
		items = append([]string{old}, items...)
	}
	p.set(name, strings.Join(items, ","))
}

// on reads a flag. As Glue's documentation has it, some are turned on by their
// name alone, so an empty value means yes.
func (p *parser) on(name string) (bool, error) {
	v, ok := p.given[name]
	if !ok {
		return false, nil
	}
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "true", "":
		return true, nil
	case "false":
		return false, nil
	}
	return false, refuse(name, "%q is neither true nor false", v)
}

// note says that what was asked for has no effect here.
func (p *parser) note(line string) { p.out.Notes = append(p.out.Notes, line) }

// list splits a comma list; blank items are nothing.
func list(v string) []string {
	var out []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// refuse makes the fault that names an argument.
func refuse(name, format string, args ...any) error {
	f := fault.Invalidf(format, args...)
	f.Message = "The value of argument " + name + " is not valid: " + f.Message + "."
	return f
}

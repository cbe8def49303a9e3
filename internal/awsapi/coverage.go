package awsapi

import (
	"fmt"
	"strings"
)

// Coverage renders operation tables as the Markdown table of the README: one
// line a service, with how many operations the model has and the names of
// those that have a handler, in the order of the tables. The README holds it
// word for word; a test compares.
func Coverage(rows []Operation, queries []QueryOperation) string {
	var services []string
	known, built := map[string]int{}, map[string][]string{}
	count := func(service, name string, handled bool) {
		if known[service] == 0 {
			services = append(services, service)
		}
		known[service]++
		if handled {
			built[service] = append(built[service], name)
		}
	}
	for _, r := range rows {
		count(r.Service, r.Name, r.Handler != nil)
	}
	for _, r := range queries {
		count(r.Service, r.Name, r.Handler != nil)
	}
	var b strings.Builder
	b.WriteString("| service | in the model | answered | operations |\n|---|---:|---:|---|\n")
	for _, s := range services {
		names := strings.Join(built[s], ", ")
		if names == "" {
			names = "none yet"
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", s, known[s], len(built[s]), names)
	}
	return b.String()
}

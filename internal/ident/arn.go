package ident

import "strings"

// Resource is what an Athena ARN of the account and region names.
type Resource struct {
	Workgroup   string
	Session     string // empty: the workgroup itself
	Calculation string // empty: the session or workgroup itself
	Catalog     string // a data catalog; then everything else is empty
}

// Calculation returns the ARN that permissions on a calculation are asked
// about. It extends its session's; AWS has none of its own.
func (h Home) Calculation(workgroup, session, id string) string {
	return h.Session(workgroup, session) + "/calculation/" + id
}

// Catalog returns the ARN of an Athena data catalog.
func (h Home) Catalog(name string) string {
	return "arn:" + h.Partition + ":athena:" + h.Region + ":" + h.Account + ":datacatalog/" + name
}

// Parse takes an ARN apart that one of Workgroup, Session, Calculation and
// Catalog made for the same home. It reports false for every other text.
func (h Home) Parse(arn string) (Resource, bool) {
	rest, ok := strings.CutPrefix(arn, "arn:"+h.Partition+":athena:"+h.Region+":"+h.Account+":")
	if !ok {
		return Resource{}, false
	}
	parts := strings.Split(rest, "/")
	for _, p := range parts {
		if p == "" {
			return Resource{}, false
		}
	}
	if parts[0] == "datacatalog" && len(parts) == 2 {
		return Resource{Catalog: parts[1]}, true
	}
	names := [...]string{"workgroup", "session", "calculation"}
	if len(parts) < 2 || len(parts) > 2*len(names) || len(parts)%2 != 0 {
		return Resource{}, false
	}
	var r Resource
	values := [...]*string{&r.Workgroup, &r.Session, &r.Calculation}
	for i := 0; i < len(parts); i += 2 {
		if parts[i] != names[i/2] {
			return Resource{}, false
		}
		*values[i/2] = parts[i+1]
	}
	return r, true
}

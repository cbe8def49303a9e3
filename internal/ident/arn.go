package ident

import (
	"slices"
	"strings"
)

// Resource is what an Athena ARN of the account and region names.
type Resource struct {
	Workgroup string
	Session   string // empty: the workgroup itself
	Catalog   string // a data catalog; then everything else is empty
}

// Catalog returns the ARN of an Athena data catalog.
func (h Home) Catalog(name string) string {
	return "arn:" + h.Partition + ":athena:" + h.Region + ":" + h.Account + ":datacatalog/" + name
}

// Parse takes an ARN apart that one of Workgroup, Session and Catalog
// made for the same home. It reports false for every other text.
func (h Home) Parse(arn string) (Resource, bool) {
	rest, ok := strings.CutPrefix(arn, "arn:"+h.Partition+":athena:"+h.Region+":"+h.Account+":")
	if !ok {
		return Resource{}, false
	}
	parts := strings.Split(rest, "/")
	if slices.Contains(parts, "") {
		return Resource{}, false
	}
	switch {
	case len(parts) == 2 && parts[0] == "workgroup":
		return Resource{Workgroup: parts[1]}, true
	case len(parts) == 4 && parts[0] == "workgroup" && parts[2] == "session":
		return Resource{Workgroup: parts[1], Session: parts[3]}, true
	case len(parts) == 2 && parts[0] == "datacatalog":
		return Resource{Catalog: parts[1]}, true
	}
	return Resource{}, false
}

// GlueSession returns the ARN of a Glue session. Its id may hold any text,
// slashes included.
func (h Home) GlueSession(id string) string { return h.glue("session", id) }

// GlueResource returns the ARN of something of Glue's that has a name: kind is
// "connection", "securityConfiguration" or "usageProfile".
func (h Home) GlueResource(kind, name string) string { return h.glue(kind, name) }

func (h Home) glue(kind, name string) string {
	return "arn:" + h.Partition + ":glue:" + h.Region + ":" + h.Account + ":" + kind + "/" + name
}

// ParseGlue takes an ARN apart that GlueSession or GlueResource made for the
// same home. It reports false for every other text.
func (h Home) ParseGlue(arn string) (kind, name string, ok bool) {
	rest, ok := strings.CutPrefix(arn, "arn:"+h.Partition+":glue:"+h.Region+":"+h.Account+":")
	if !ok {
		return "", "", false
	}
	kind, name, ok = strings.Cut(rest, "/")
	return kind, name, ok && kind != "" && name != ""
}

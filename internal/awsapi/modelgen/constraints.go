package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// model is what is read of a botocore service-2.json.
type model struct {
	Operations map[string]struct {
		Input struct{ Shape string }
	}
	Shapes map[string]*shape
}

// shape is one shape of the model.
type shape struct {
	Type            string
	Required        []string
	Members         members
	Member          ref
	Key             ref
	Value           ref
	Min             *json.Number
	Max             *json.Number
	Pattern         string
	Enum            []string
	Sensitive       bool
	TimestampFormat string
}

// ref points to another shape.
type ref struct{ Shape string }

// member is one member of a structure.
type member struct{ name, shape string }

// members keeps the order of the model, which encoding/json's maps lose.
type members []member

// UnmarshalJSON reads an object of references in its order.
func (m *members) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil { // the opening brace
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var r ref
		if err := d.Decode(&r); err != nil {
			return err
		}
		*m = append(*m, member{fmt.Sprint(key), r.Shape})
	}
	return nil
}

// rule is one shape as it is written to the data file; the reader is
// awsapi's model.go, which documents the fields.
type rule struct {
	Members   [][]string   `json:"m,omitempty"`
	Item      string       `json:"i,omitempty"`
	Key       string       `json:"k,omitempty"`
	Value     string       `json:"v,omitempty"`
	Min       *json.Number `json:"min,omitempty"`
	Max       *json.Number `json:"max,omitempty"`
	Pattern   string       `json:"re,omitempty"`
	Rewritten string       `json:"go,omitempty"`
	Not       string       `json:"not,omitempty"`
	Enum      []string     `json:"enum,omitempty"`
	Sensitive bool         `json:"secret,omitempty"`
	Time      string       `json:"time,omitempty"`
}

// constraints writes the data file of one service: the input shape of every
// operation and all shapes below it that say anything.
func constraints(service string, m *model) ([]byte, error) {
	override(service, m)
	inputs := map[string]string{}
	reached := map[string]bool{}
	for name, op := range m.Operations {
		if op.Input.Shape != "" {
			inputs[name] = op.Input.Shape
			reach(m, op.Input.Shape, reached)
		}
	}
	telling := tellingShapes(m, reached)
	rules := map[string]rule{}
	for name := range reached {
		if !telling[name] {
			continue
		}
		r, err := ruleOf(m.Shapes[name], telling)
		if err != nil {
			return nil, fmt.Errorf("cannot convert shape %s of %s: %w", name, service, err)
		}
		rules[name] = r
	}
	for name, s := range inputs {
		if !telling[s] {
			delete(inputs, name)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "")
	if err := e.Encode(map[string]any{"inputs": inputs, "shapes": rules}); err != nil {
		return nil, err
	}
	// One shape a line, so that a difference can be read.
	return bytes.ReplaceAll(b.Bytes(), []byte(`},"`), []byte("},\n\"")), nil
}

// reach collects the shapes below one.
func reach(m *model, name string, into map[string]bool) {
	if name == "" || into[name] {
		return
	}
	into[name] = true
	s := m.Shapes[name]
	for _, x := range s.Members {
		reach(m, x.shape, into)
	}
	reach(m, s.Member.Shape, into)
	reach(m, s.Key.Shape, into)
	reach(m, s.Value.Shape, into)
}

// tellingShapes returns the reached shapes that constrain something, name a
// member in lower case, or contain such a shape.
func tellingShapes(m *model, reached map[string]bool) map[string]bool {
	telling := map[string]bool{}
	for grew := true; grew; {
		grew = false
		for name := range reached {
			s := m.Shapes[name]
			if telling[name] || !tells(s, telling) {
				continue
			}
			telling[name], grew = true, true
		}
	}
	return telling
}

// tells reports whether a shape says anything, given those known to.
func tells(s *shape, telling map[string]bool) bool {
	if len(s.Required) > 0 || s.Min != nil || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0 || s.TimestampFormat != "" {
		return true
	}
	for _, x := range s.Members {
		if telling[x.shape] || lowerFirst(x.name) {
			return true
		}
	}
	return telling[s.Member.Shape] || telling[s.Key.Shape] || telling[s.Value.Shape]
}

// lowerFirst reports whether a member's name differs from its Go field's.
func lowerFirst(name string) bool { return strings.ToLower(name[:1]) == name[:1] }

// ruleOf converts a shape, leaving out references to shapes that say nothing.
func ruleOf(s *shape, telling map[string]bool) (rule, error) {
	named := func(name string) string {
		if telling[name] {
			return name
		}
		return ""
	}
	r := rule{
		Item: named(s.Member.Shape), Key: named(s.Key.Shape), Value: named(s.Value.Shape),
		Min: s.Min, Max: s.Max, Pattern: s.Pattern, Enum: s.Enum, Sensitive: s.Sensitive, Time: s.TimestampFormat,
	}
	required := map[string]bool{}
	for _, n := range s.Required {
		required[n] = true
	}
	for _, x := range s.Members {
		switch target := named(x.shape); {
		case required[x.name]:
			r.Members = append(r.Members, []string{x.name, target, "required"})
		case target != "":
			r.Members = append(r.Members, []string{x.name, target})
		case lowerFirst(x.name):
			r.Members = append(r.Members, []string{x.name})
		}
	}
	if s.Pattern != "" {
		goPattern, not := rewrite(s.Pattern)
		for _, p := range []string{goPattern, not} {
			if _, err := regexp.Compile(p); err != nil {
				return rule{}, err
			}
		}
		if goPattern != s.Pattern {
			r.Rewritten = goPattern
		}
		r.Not = not
	}
	return r, nil
}

// byHand are the patterns that Go's engine, which has no lookahead, cannot
// run: what must match, and what must not match at the start.
var byHand = map[string]struct{ match, not string }{
	// NotebookName: no slash, colon or backslash anywhere.
	`(?!.*[/:\\])[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]+`: {
		match: `[\x{0020}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}\t]+`, not: `.*[/:\\]`,
	},
	// CatalogNameString: no dot or slash, and not the reserved prefix.
	`^(?!(.*[.\/\\]|aws:)).*$`: {match: `.*`, not: `.*[./\\]|aws:`},
	// accountAliasType: no two hyphens side by side.
	`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`: {match: `[a-z0-9][a-z0-9-]{1,61}[a-z0-9]`, not: `.*--`},
	// AssetTypeFormKey, AssetTypeName: the lookahead only forbids a first
	// digit or underscore.
	`^(?![0-9_])\w+$|^_\w*[a-zA-Z0-9]\w*$`: {match: `[a-zA-Z]\w*|_\w*[a-zA-Z0-9]\w*`},
}

// escaped finds a Java escape of one UTF-16 unit.
var escaped = regexp.MustCompile(`\\u([0-9A-F]{4})`)

// rewrite turns a pattern of the model into Go's syntax. The one surrogate
// range that occurs means everything beyond the basic plane.
func rewrite(p string) (match, not string) {
	if h, ok := byHand[p]; ok {
		return h.match, h.not
	}
	p = strings.ReplaceAll(p, `\uD800\uDC00-\uDBFF\uDFFF`, `\x{10000}-\x{10FFFF}`)
	return escaped.ReplaceAllString(p, `\x{$1}`), ""
}

// override corrects the model where the service was seen to differ.
func override(service string, m *model) {
	if service != "athena" {
		return
	}
	// The front end lets GetQueryResults.MaxResults through up to 100000; the
	// service itself then refuses more than 1000 with a text of its own.
	wide := json.Number("100000")
	m.Shapes["MaxQueryResults"].Max = &wide
}

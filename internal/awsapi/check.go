package awsapi

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// checker collects violations of the model while an input is read.
type checker struct {
	path       []step
	violations []violation
}

// step is one step from the input down to a value.
type step struct {
	name   string // member or map key as messages have it; empty for list items
	order  int    // position among its siblings
	member bool   // an item of a list or map
}

// violation is one breach of a constraint.
type violation struct {
	order []int // positions along the path, which sort by the model's order
	text  string
}

func (c *checker) push(s step) { c.path = append(c.path, s) }

func (c *checker) pop() { c.path = c.path[:len(c.path)-1] }

// where spells the path: configuration.classifications.1.member.name.
func (c *checker) where() string {
	var b strings.Builder
	for i, s := range c.path {
		if i > 0 {
			b.WriteByte('.')
		}
		if s.name == "" && s.member {
			b.WriteString(strconv.Itoa(s.order + 1))
		}
		b.WriteString(s.name)
		if s.member {
			b.WriteString(".member")
		}
	}
	return b.String()
}

// breach records that the value at the path breaks a constraint. The value is
// repeated unless it is nil or the node forbids it.
func (c *checker) breach(n *node, value *string, constraint string) {
	shown := "Value"
	if value != nil && n.echo {
		shown = "Value '" + *value + "'"
	}
	c.add(shown + " at '" + c.where() + "' failed to satisfy constraint: " + constraint)
}

func (c *checker) add(text string) {
	order := make([]int, len(c.path))
	for i, s := range c.path {
		order[i] = s.order
	}
	c.violations = append(c.violations, violation{order, text})
}

// err returns the error that lists all violations in the model's order, or nil.
func (c *checker) err() error {
	if len(c.violations) == 0 {
		return nil
	}
	slices.SortStableFunc(c.violations, func(a, b violation) int { return slices.Compare(a.order, b.order) })
	texts := make([]string, len(c.violations))
	for i, v := range c.violations {
		texts[i] = v.text
	}
	s := ""
	if len(texts) > 1 {
		s = "s"
	}
	return &violationError{fmt.Sprintf("%d validation error%s detected: %s", len(texts), s, strings.Join(texts, "; "))}
}

// memberSet is a set of members of one structure, by position. The largest
// structure of either model has 68 members.
type memberSet [4]uint64

func (s *memberSet) put(i int, in bool) {
	if in {
		s[i/64] |= 1 << (i % 64)
	} else {
		s[i/64] &^= 1 << (i % 64)
	}
}

func (s *memberSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// checkRequired records the required members that are missing.
func (c *checker) checkRequired(n *node, seen *memberSet) {
	for _, i := range n.required {
		if seen.has(i) {
			continue
		}
		f := &n.fields[i]
		c.push(step{name: f.lower, order: f.order})
		c.add("Value null at '" + c.where() + "' failed to satisfy constraint: Member must not be null")
		c.pop()
	}
}

// checkString judges a string.
func (c *checker) checkString(n *node, s string) {
	r := n.rule
	if !r.leaf() {
		return
	}
	if len(r.Enum) > 0 {
		if !slices.Contains(r.Enum, s) {
			c.breach(n, &s, enumText(r))
		}
		return
	}
	if r.Min != nil || r.Max != nil {
		c.checkLength(n, utf8.RuneCountInString(s), &s)
	}
	if r.Pattern != "" && !r.matches(s) {
		c.breach(n, &s, patternText(r))
	}
}

// checkLength judges the length of a string, list or map.
func (c *checker) checkLength(n *node, length int, value *string) {
	r := n.rule
	if r == nil {
		return
	}
	if r.Min != nil && float64(length) < *r.Min {
		c.breach(n, value, lengthText("greater", *r.Min))
	}
	if r.Max != nil && float64(length) > *r.Max {
		c.breach(n, value, lengthText("less", *r.Max))
	}
}

// checkNumber judges a number; text is how the caller wrote it.
func (c *checker) checkNumber(n *node, f float64, text string) {
	r := n.rule
	if r == nil {
		return
	}
	if r.Min != nil && f < *r.Min {
		c.breach(n, &text, valueText("greater", *r.Min))
	}
	if r.Max != nil && f > *r.Max {
		c.breach(n, &text, valueText("less", *r.Max))
	}
}

// leafBroken reports whether the item just read broke its own constraints,
// counted from mark. If so it takes those violations back: they are reported
// once, for the whole list or map.
func (c *checker) leafBroken(n *node, mark int) bool {
	if len(c.violations) == mark || !n.rule.leaf() || n.kind < kindString {
		return false
	}
	c.violations = c.violations[:mark]
	return true
}

// satisfies reports whether a map key satisfies its rule.
func satisfies(r *rule, key string) bool {
	if !r.leaf() {
		return true
	}
	var c checker
	c.checkString(&node{kind: kindString, rule: r}, key)
	return len(c.violations) == 0
}

// checkList judges a list: its length and, if one was broken, its items.
func (c *checker) checkList(n *node, items reflect.Value, broken bool) {
	if n.rule == nil && !broken {
		return
	}
	var shown *string
	if n.item.kind == kindString && n.echo && n.item.echo && (broken || n.rule.leaf()) {
		s := listText(items)
		shown = &s
	}
	c.checkLength(n, items.Len(), shown)
	if broken {
		c.breach(n, shown, "Member must satisfy constraint: "+allTexts(n.item))
	}
}

// listText shows a list of strings the way AWS does: [a, b].
func listText(items reflect.Value) string {
	texts := make([]string, items.Len())
	for i := range texts {
		texts[i] = reflect.Indirect(items.Index(i)).String()
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// mapBreach says what was broken inside a map.
type mapBreach struct{ key, value bool }

// checkMap judges a map: its size, keys and values.
func (c *checker) checkMap(n *node, size int, broken mapBreach) {
	c.checkLength(n, size, nil)
	if broken.key {
		c.breach(n, nil, "Map keys must satisfy constraint: "+allTexts(&node{kind: kindString, rule: n.key}))
	}
	if broken.value {
		c.breach(n, nil, "Map value must satisfy constraint: "+allTexts(n.item))
	}
}

// allTexts lists all constraints of a scalar: [a, b].
func allTexts(n *node) string {
	r := n.rule
	if len(r.Enum) > 0 {
		return "[" + enumText(r) + "]"
	}
	bound := valueText
	if n.kind == kindString || n.kind == kindBlob {
		bound = lengthText
	}
	var texts []string
	if r.Max != nil {
		texts = append(texts, bound("less", *r.Max))
	}
	if r.Min != nil {
		texts = append(texts, bound("greater", *r.Min))
	}
	if r.Pattern != "" {
		texts = append(texts, patternText(r))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

func lengthText(side string, bound float64) string {
	return "Member must have length " + side + " than or equal to " + strconv.FormatFloat(bound, 'f', -1, 64)
}

func valueText(side string, bound float64) string {
	return "Member must have value " + side + " than or equal to " + strconv.FormatFloat(bound, 'f', -1, 64)
}

func enumText(r *rule) string {
	return "Member must satisfy enum value set: [" + strings.Join(r.Enum, ", ") + "]"
}

func patternText(r *rule) string {
	return "Member must satisfy regular expression pattern: " + r.Pattern
}

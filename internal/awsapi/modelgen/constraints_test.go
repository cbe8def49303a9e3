package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// tiny is a model with one of everything that matters.
const tiny = `{
 "operations": {"Do": {"input": {"shape": "DoInput"}}, "Free": {"input": {"shape": "FreeInput"}}, "None": {}},
 "shapes": {
  "DoInput": {"type": "structure", "required": ["Zeta"], "members": {"Zeta": {"shape": "Any"}, "Alpha": {"shape": "Name"}, "small": {"shape": "Any"}, "Skipped": {"shape": "Any"}, "Self": {"shape": "DoInput"}, "List": {"shape": "Names"}}},
  "FreeInput": {"type": "structure", "members": {"X": {"shape": "Any"}}},
  "Any": {"type": "string"},
  "Name": {"type": "string", "min": 1, "pattern": "[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF]*"},
  "Names": {"type": "list", "member": {"shape": "Name"}},
  "Unused": {"type": "string", "min": 5},
  "MaxQueryResults": {"type": "integer", "max": 1000}
 }
}`

// TestConstraints checks the order of members and what is left out.
func TestConstraints(t *testing.T) {
	t.Parallel()
	m := new(model)
	if err := json.Unmarshal([]byte(tiny), m); err != nil {
		t.Fatal(err)
	}
	data, err := constraints("other", m)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"inputs":{"Do":"DoInput"},"shapes":{
		"DoInput":{"m":[["Zeta","","required"],["Alpha","Name"],["small"],["Self","DoInput"],["List","Names"]]},
		"Name":{"min":1,"re":"[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF]*","go":"[\\x{0020}-\\x{D7FF}\\x{E000}-\\x{FFFD}\\x{10000}-\\x{10FFFF}]*"},
		"Names":{"i":"Name"}}}`
	var got, wanted any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("got %s", data)
	}
}

// TestOverride checks that the one correction is made, and to Athena alone.
func TestOverride(t *testing.T) {
	t.Parallel()
	for service, want := range map[string]string{"athena": "100000", "glue": "1000"} {
		m := new(model)
		if err := json.Unmarshal([]byte(tiny), m); err != nil {
			t.Fatal(err)
		}
		override(service, m)
		if got := m.Shapes["MaxQueryResults"].Max.String(); got != want {
			t.Errorf("%s: %s, want %s", service, got, want)
		}
	}
}

// TestBadPattern checks that a pattern Go cannot run stops the generator.
func TestBadPattern(t *testing.T) {
	t.Parallel()
	m := new(model)
	if err := json.Unmarshal([]byte(strings.Replace(tiny, `[\\u0020`, `(?!x)[\\u0020`, 1)), m); err != nil {
		t.Fatal(err)
	}
	if _, err := constraints("other", m); err == nil {
		t.Error("accepted")
	}
}

package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// File is a configuration file that has been read and checked for unknown
// keys and wrong types.
type File struct {
	values map[string]any // by flag name: {"dpu": {"cores": 2}} is "dpu-cores"
	Users  []User
	Roles  []Role
	// Workgroups are the budgets of single workgroups.
	Workgroups []WorkgroupBudget
}

// ReadFile reads a YAML configuration file. An unknown key is an error, so
// that a misspelt one is never passed over in silence.
func ReadFile(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	var known Config
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(&known); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot use configuration %s: %w", path, err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("cannot use configuration %s: %w", path, err)
	}
	f := &File{values: map[string]any{}, Users: known.Users, Roles: known.Roles, Workgroups: known.Budget.Workgroups}
	flatten(f.values, "", tree)
	return f, nil
}

func flatten(into map[string]any, prefix string, tree map[string]any) {
	for name, value := range tree {
		if inner, ok := value.(map[string]any); ok {
			flatten(into, prefix+name+"-", inner)
			continue
		}
		into[prefix+name] = value
	}
}

// Value returns what the file says for a flag, as text, and whether it says
// anything.
func (f *File) Value(flag string) (string, bool) {
	v, ok := f.values[strings.TrimPrefix(flag, "--")]
	if !ok || v == nil {
		return "", false
	}
	if list, ok := v.([]any); ok {
		texts := make([]string, len(list))
		for i, item := range list {
			texts[i] = fmt.Sprint(item)
		}
		return strings.Join(texts, ","), true
	}
	return fmt.Sprint(v), true
}

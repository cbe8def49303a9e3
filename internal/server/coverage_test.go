package server

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"glaux/internal/athenaapi"
	"glaux/internal/awsapi"
	"glaux/internal/glueapi"
	"glaux/internal/logsapi"
	"glaux/internal/stsapi"
)

// TestCoverageTable keeps the README's table of operations as the operation
// tables say it; "-update" writes it.
func TestCoverageTable(t *testing.T) {
	rows, err := new(athenaapi.API).Operations()
	if err != nil {
		t.Fatal(err)
	}
	glue, err := new(glueapi.API).Operations()
	if err != nil {
		t.Fatal(err)
	}
	logs, err := new(logsapi.API).Operations()
	if err != nil {
		t.Fatal(err)
	}
	queries, err := new(stsapi.API).Operations()
	if err != nil {
		t.Fatal(err)
	}
	want := awsapi.Coverage(slices.Concat(rows, glue, logs), queries)

	readme := filepath.Join("..", "..", "README.md")
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- coverage -->\n", "<!-- /coverage -->"
	before, rest, ok := strings.Cut(string(text), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the README has no place for the table of operations")
	}
	if have == want {
		return
	}
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(readme, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the README's table of operations is not the operation tables'; run: go test ./internal/server -run Coverage -update\nhave:\n%s\nwant:\n%s", have, want)
}

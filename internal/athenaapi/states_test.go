package athenaapi_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"glaux/internal/calc"
	"glaux/internal/session"
	"glaux/internal/statement"
)

var update = flag.Bool("update", false, "write docs/states.md anew")

// TestStatesAreDocumented prints both machines, every state and event, and
// fails when docs/states.md says something else.
func TestStatesAreDocumented(t *testing.T) {
	t.Parallel()
	const file = "../../docs/states.md"
	var b strings.Builder
	b.WriteString("# States\n\nPrinted from the tables in `internal/session/machine.go`, `internal/calc/machine.go` and `internal/statement/machine.go` by `go test ./internal/athenaapi -run TestStatesAreDocumented -update`.\n" +
		"A cell is the state that an event (row) leads to from a state (column); an empty one is refused.\n")
	b.WriteString("\n## Sessions\n\n")
	table(&b, session.States(), session.Events(), session.State.Next)
	b.WriteString("\nWhat callers see:\n\n| state | Athena | Glue |\n|---|---|---|\n")
	for _, s := range session.States() {
		causes := []session.Cause{""}
		if s == session.Ended {
			causes = []session.Cause{session.Asked, session.Expired, session.Lifetime, session.Crashed, session.FailedStart, session.Lost}
		}
		for _, c := range causes {
			row := session.Session{State: s, Cause: c}
			name := string(s)
			if c != "" {
				name += ": " + string(c)
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, row.AthenaState(), row.GlueState())
		}
	}
	b.WriteString("\n## Calculations\n\nTheir states are Athena's own.\n\n")
	table(&b, calc.States(), calc.Events(), calc.State.Next)

	b.WriteString("\n## Statements\n\nTheir states are Glue's own.\n\n")
	table(&b, statement.States(), statement.Events(), statement.State.Next)

	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("docs/states.md is stale: run go test ./internal/athenaapi -run TestStatesAreDocumented -update")
	}
}

func table[S, E ~string](b *strings.Builder, states []S, events []E, next func(S, E) (S, error)) {
	b.WriteString("| event |")
	for _, s := range states {
		fmt.Fprintf(b, " %s |", s)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(states)) + "\n")
	for _, e := range events {
		fmt.Fprintf(b, "| **%s** |", e)
		for _, s := range states {
			to, err := next(s, e)
			if err != nil {
				to = ""
			}
			fmt.Fprintf(b, " %s |", to)
		}
		b.WriteString("\n")
	}
}

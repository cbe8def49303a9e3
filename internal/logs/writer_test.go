package logs_test

import (
	"log/slog"
	"testing"

	"glaux/internal/logs"
	"glaux/internal/logs/logstest"
)

// TestConformance runs the suite of places that logs are appended to.
func TestConformance(t *testing.T) {
	t.Parallel()
	logstest.Run(t, func(t *testing.T) func(t *testing.T) logstest.Place {
		dir := t.TempDir()
		return func(t *testing.T) logstest.Place {
			s, err := logs.Open(logs.Config{Dir: dir, ManagedDays: 30, MaxBytes: 1 << 40, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			return logstest.Place{Writer: s, Read: func(t *testing.T, group, stream string) []string {
				return logstest.Messages(t, s, group, stream)
			}}
		}
	})
}

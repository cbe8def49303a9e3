package logstest

import (
	"testing"

	"glaux/internal/logs"
)

// Messages reads a stream of a store to its end.
func Messages(t *testing.T, s *logs.Store, group, stream string) []string {
	t.Helper()
	var all []string
	q := logs.Query{Group: group, Streams: []string{stream}}
	for {
		p, err := s.Read(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Events {
			all = append(all, p.Events[i].Message)
		}
		if !p.More {
			return all
		}
		q.Cursor = p.Next
	}
}

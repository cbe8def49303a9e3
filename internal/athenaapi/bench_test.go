package athenaapi

import (
	"path/filepath"
	"testing"

	"glaux/internal/store"
)

// BenchmarkGetWorkGroup measures GetWorkGroup over the real store, from the
// parsed HTTP request to the encoded reply, without signature and network.
func BenchmarkGetWorkGroup(b *testing.B) {
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "glaux.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}()
	c := newClient(b, db, true)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if code, reply := c.call(b, "GetWorkGroup", `{"WorkGroup":"spark"}`); code != 200 {
				b.Errorf("%d %s", code, reply)
			}
		}
	})
}

package server

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"glaux/internal/engine"
	"glaux/internal/session"
)

// drivers stands for the launcher, and counts how often it was asked.
type drivers struct {
	asked int
	each  map[engine.Key]int64
}

func (d *drivers) Memory(context.Context) (map[engine.Key]int64, error) {
	d.asked++
	return d.each, nil
}

type listed []session.Session

func (l listed) Sessions(_ context.Context, q session.Query) (found []session.Session, err error) {
	for _, s := range l {
		if slices.Contains(q.States, s.State) {
			found = append(found, s)
		}
	}
	return found, nil
}

func TestMemoryOfDriversByState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &drivers{each: map[engine.Key]int64{"a": 100, "b": 200, "c": 7, "d": 50, "e": 3}}
		u := newUsage(t.Context(), d, listed{
			{Key: "a", State: session.Idle}, {Key: "b", State: session.Idle}, {Key: "x", State: session.Busy}, {Key: "d", State: session.Started}, {Key: "e", State: session.Ended},
		}, slog.New(slog.DiscardHandler))
		registry := prometheus.NewRegistry()
		registry.MustRegister(u)
		gather := func() map[string]float64 {
			t.Helper()
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]float64{}
			for _, f := range families {
				for _, m := range f.GetMetric() {
					got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
			return got
		}
		got := gather()
		want := map[string]float64{
			"glaux_driver_memory_bytes Idle": 300, "glaux_driver_memory_drivers Idle": 2,
			"glaux_driver_memory_bytes Started": 50, "glaux_driver_memory_drivers Started": 1,
			"glaux_driver_memory_bytes none": 10, "glaux_driver_memory_drivers none": 2,
		}
		if len(got) != len(want) {
			t.Errorf("got %v", got)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s is %v, want %v", k, got[k], v)
			}
		}
		d.each = map[engine.Key]int64{"a": 1}
		time.Sleep(usageEvery - time.Second)
		if got = gather(); got["glaux_driver_memory_bytes Idle"] != 300 || d.asked != 1 {
			t.Errorf("measured %d times within the interval: %v", d.asked, got)
		}
		time.Sleep(2 * time.Second)
		if got = gather(); got["glaux_driver_memory_bytes Idle"] != 1 || len(got) != 2 || d.asked != 2 {
			t.Errorf("measured %d times: %v", d.asked, got)
		}
	})
}

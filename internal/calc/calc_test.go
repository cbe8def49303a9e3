package calc_test

import (
	"encoding/json"
	"testing"

	"testing/synctest"

	"glaux/internal/calc"
)

func TestCalculationLeavesItsThreeObjects(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		s := w.serve(t)
		id := s.idle(t).ID
		c := s.start(t, id, "out hello\nerr careful\ndisplay {\"text/plain\":\"1\"}\ndisplay {\"text/plain\":\"2\"}")
		if c.State != calc.Creating {
			t.Errorf("started as %s", c.State)
		}
		synctest.Wait()
		c = s.want(t, c.ID, calc.Completed)
		s.wantSession(t, id, "IDLE")
		at := "s3://results/spark/" + id + "/" + c.ID
		if c.StdoutURI != at+"/stdout" || c.StderrURI != at+"/stderr" || c.ResultURI != at+"/results" {
			t.Errorf("objects are at %q, %q, %q", c.StdoutURI, c.StderrURI, c.ResultURI)
		}
		if got := w.objects.read(t, c.StdoutURI); got != "hello\n" {
			t.Errorf("stdout is %q", got)
		}
		if got := w.objects.read(t, c.StderrURI); got != "careful\n" {
			t.Errorf("stderr is %q", got)
		}
		var doc struct {
			Outcome string
			Outputs []map[string]string
		}
		if err := json.Unmarshal([]byte(w.objects.read(t, c.ResultURI)), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Outcome != "succeeded" || len(doc.Outputs) != 2 || doc.Outputs[1]["text/plain"] != "2" {
			t.Errorf("result is %+v", doc)
		}
		if c.Reason != "" || c.DPUMillis < 1 || c.ProgressText() != "100%" {
			t.Errorf("reason %q, DPU ms %d, progress %q", c.Reason, c.DPUMillis, c.ProgressText())
		}
	})
}

package session_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"glaux/internal/fault"
	"glaux/internal/ident"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

func TestDashboard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := w.manager(t)
		s, err := m.Start(t.Context(), root, session.Request{Workgroup: "spark"})
		if err != nil {
			t.Fatal(err)
		}
		quiet, err := m.Start(t.Context(), root, session.Request{Workgroup: "spark", Monitoring: &workgroup.Monitoring{Managed: &workgroup.ManagedLogging{}}})
		if err != nil {
			t.Fatal(err)
		}
		arn := home.Session("spark", s.ID)
		if got, err := m.Dashboard(t.Context(), root, arn); err != nil || got.Key != s.Key {
			t.Errorf("the session is %s, %v", got.Key, err)
		}
		if !slices.Contains(w.access.asked, "athena:GetResourceDashboard "+arn) {
			t.Errorf("asked were %v", w.access.asked)
		}
		elsewhere := root
		elsewhere.Account = "111111111111"
		for _, c := range []struct {
			arn  string
			want fault.Kind
			text string
		}{
			{home.Session("spark", ident.NewID()), fault.NotFound, "is not found"},
			{home.Session("spark35", s.ID), fault.NotFound, "is not found"},
			{home.Workgroup("spark"), fault.Invalid, "not the ARN of a session"},
			{home.Catalog("AwsDataCatalog"), fault.Invalid, "not the ARN of a session"},
			{s.ID, fault.Invalid, "not the ARN of a session"},
			{home.Session("spark", quiet.ID), fault.Invalid, "managed logging is not enabled"},
		} {
			_, err := m.Dashboard(t.Context(), root, c.arn)
			if fault.Of(err) != c.want || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: %v", c.arn, err)
			}
		}
		if _, err := m.Dashboard(t.Context(), elsewhere, arn); fault.Of(err) != fault.Invalid {
			t.Errorf("for another account: %v", err)
		}
		w.access.denied["athena:GetResourceDashboard"] = true
		for _, arn := range []string{arn, home.Session("spark", "nobody"), "nonsense"} { // nobody learns what there is
			if _, err := m.Dashboard(t.Context(), root, arn); fault.Of(err) != fault.Denied {
				t.Errorf("%s, denied: %v", arn, err)
			}
		}
		w.access.denied = nil
		w.failStore(func(string) error { return errors.New("no store") })
		if _, err := m.Dashboard(t.Context(), root, arn); err == nil || fault.Of(err) != fault.Internal {
			t.Errorf("without a store: %v", err)
		}
	})
}

func TestEventLogs(t *testing.T) {
	off, on := &workgroup.ManagedLogging{}, &workgroup.ManagedLogging{Enabled: true}
	location := "s3://logs/here/"
	for _, c := range []struct {
		name string
		m    *workgroup.Monitoring
		want bool
	}{
		{"nothing said", nil, true},
		{"managed", &workgroup.Monitoring{Managed: on}, true},
		{"managed off", &workgroup.Monitoring{Managed: off}, false},
		{"to S3 alone", &workgroup.Monitoring{Managed: off, S3: &workgroup.S3Logging{Enabled: true, LogLocation: &location}}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			srv := w.serve(t, func(cfg *session.Config) { cfg.EventLogs = "/data/history" })
			defer srv.stop()
			s, err := srv.Start(t.Context(), root, session.Request{Workgroup: "spark", Monitoring: c.m})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			spec, ok := w.machine.Spec(s.Key)
			want := ""
			if c.want {
				want = "/data/history/" + string(s.Key)
			}
			if !ok || spec.EventLog != want {
				t.Errorf("%s: the log is in %q, want %q", c.name, spec.EventLog, want)
			}
		})
	}
}

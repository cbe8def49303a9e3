package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"glaux/internal/session"
	"glaux/internal/workgroup"
)

func testWorkgroup(t *testing.T, db Store) {
	ctx := t.Context()
	_, err := db.Workgroup(ctx, account, "a")
	wantError(t, "Workgroup before it is there", err, workgroup.ErrNotFound)
	mustWorkgroup(t, db, "a")
	w, err := db.Workgroup(ctx, account, "a")
	wantError(t, "Workgroup", err, nil)
	wantEqual(t, "workgroup", w, workgroup.Workgroup{Account: account, Name: "a", State: workgroup.Enabled, Created: epoch0, Version: 1})
	_, err = db.Workgroup(ctx, "111111111111", "a")
	wantError(t, "Workgroup of another account", err, workgroup.ErrNotFound)
	_, err = db.Workgroup(ctx, account, "A")
	wantError(t, "Workgroup in another case", err, workgroup.ErrNotFound)

	changed, err := db.UpdateWorkgroup(ctx, account, "a", func(w *workgroup.Workgroup) error {
		w.Name, w.Account, w.Created = "b", "1", time.Now() // never change
		w.State, w.Description = workgroup.Disabled, "new"
		return nil
	})
	wantError(t, "UpdateWorkgroup", err, nil)
	w.State, w.Description, w.Version = workgroup.Disabled, "new", 2
	wantEqual(t, "updated workgroup", changed, w)
	got, _ := db.Workgroup(ctx, account, "a")
	wantEqual(t, "workgroup read again", got, w)

	_, err = db.UpdateWorkgroup(ctx, account, "a", func(w *workgroup.Workgroup) error { w.Description = "never"; return errChange })
	wantError(t, "UpdateWorkgroup refused by change", err, errChange)
	got, _ = db.Workgroup(ctx, account, "a")
	wantEqual(t, "workgroup after a refused change", got, w)
	_, err = db.UpdateWorkgroup(ctx, account, "nobody", func(*workgroup.Workgroup) error { return nil })
	wantError(t, "UpdateWorkgroup of nothing", err, workgroup.ErrNotFound)

	wantError(t, "DeleteWorkgroup", db.DeleteWorkgroup(ctx, account, "a"), nil)
	wantError(t, "DeleteWorkgroup again", db.DeleteWorkgroup(ctx, account, "a"), workgroup.ErrNotFound)
	_, err = db.Tags(ctx, workgroup.Resource{Account: account, Workgroup: "a"})
	wantError(t, "Tags of a deleted workgroup", err, workgroup.ErrNotFound)
	mustWorkgroup(t, db, "a")
	got, _ = db.Workgroup(ctx, account, "a")
	wantEqual(t, "version of a workgroup made again", got.Version, int64(1))
}

func testWorkgroupFields(t *testing.T, db Store) {
	ctx := t.Context()
	want := filled[workgroup.Workgroup]()
	want.State, want.Version = workgroup.Disabled, 1
	want.Config.Monitoring.CloudWatch.LogTypes = map[string][]string{"SPARK_DRIVER": {}} // an empty list is kept
	wantError(t, "CreateWorkgroup", db.CreateWorkgroup(ctx, want, nil, 0), nil)
	got, err := db.Workgroup(ctx, want.Account, want.Name)
	wantError(t, "Workgroup", err, nil)
	wantEqual(t, "workgroup", got, want)

	// What a caller does to its copy is not seen by others.
	got.Config.Engine.SparkProperties["spark.x"] = "y"
	*got.Config.Enforce = false
	again, _ := db.Workgroup(ctx, want.Account, want.Name)
	wantEqual(t, "workgroup after somebody edited a copy", again, want)
	_, err = db.UpdateWorkgroup(ctx, want.Account, want.Name, func(w *workgroup.Workgroup) error {
		w.Config.Engine.SparkProperties["spark.x"] = "y"
		return errChange
	})
	wantError(t, "UpdateWorkgroup", err, errChange)
	again, _ = db.Workgroup(ctx, want.Account, want.Name)
	wantEqual(t, "workgroup after a refused change in depth", again, want)
}

func testWorkgroupQuota(t *testing.T, db Store) {
	ctx := t.Context()
	w := workgroup.Workgroup{Account: account, State: workgroup.Enabled, Created: epoch0}
	for i := range 3 {
		w.Name = fmt.Sprint("w", i)
		wantError(t, "CreateWorkgroup", db.CreateWorkgroup(ctx, w, nil, 3), nil)
	}
	wantError(t, "CreateWorkgroup of a name that is there", db.CreateWorkgroup(ctx, w, nil, 3), workgroup.ErrExists)
	w.Name = "w3"
	wantError(t, "CreateWorkgroup beyond the limit", db.CreateWorkgroup(ctx, w, nil, 3), workgroup.ErrFull)
	w.Account = "111111111111"
	wantError(t, "CreateWorkgroup in another account", db.CreateWorkgroup(ctx, w, nil, 3), nil)
}

func testWorkgroupList(t *testing.T, db Store) {
	ctx := t.Context()
	for _, name := range []string{"b", "primary", "a.b", "B", "a-b", "a_b"} {
		mustWorkgroup(t, db, name)
	}
	names := func(after string, limit int) []string {
		all, err := db.Workgroups(ctx, account, after, limit)
		wantError(t, "Workgroups", err, nil)
		var names []string
		for _, w := range all {
			names = append(names, w.Name)
		}
		return names
	}
	wantEqual(t, "all", names("", 0), []string{"B", "a-b", "a.b", "a_b", "b", "primary"})
	wantEqual(t, "first two", names("", 2), []string{"B", "a-b"})
	wantEqual(t, "next two", names("a-b", 2), []string{"a.b", "a_b"})
	wantError(t, "DeleteWorkgroup", db.DeleteWorkgroup(ctx, account, "a_b"), nil)
	wantEqual(t, "after one that is gone", names("a_b", 2), []string{"b", "primary"})
	all, err := db.Workgroups(ctx, "111111111111", "", 0)
	wantError(t, "Workgroups of another account", err, nil)
	wantEqual(t, "workgroups of another account", len(all), 0)
}

func testWorkgroupCreateRace(t *testing.T, db Store) {
	var won, lost atomic.Int32
	together(8, func(int) {
		w := workgroup.Workgroup{Account: account, Name: "one", State: workgroup.Enabled, Created: epoch0}
		switch err := db.CreateWorkgroup(t.Context(), w, nil, 5); {
		case err == nil:
			won.Add(1)
		case errors.Is(err, workgroup.ErrExists):
			lost.Add(1)
		}
	})
	wantEqual(t, "winners and losers", [2]int32{won.Load(), lost.Load()}, [2]int32{1, 7})
}

func testWorkgroupUpdateRace(t *testing.T, db Store) {
	mustWorkgroup(t, db, "one")
	together(8, func(int) {
		for range 10 {
			if _, err := db.UpdateWorkgroup(t.Context(), account, "one", func(w *workgroup.Workgroup) error {
				w.Description += "."
				return nil
			}); err != nil {
				t.Errorf("UpdateWorkgroup: %v", err)
			}
		}
	})
	w, err := db.Workgroup(t.Context(), account, "one")
	wantError(t, "Workgroup", err, nil)
	wantEqual(t, "updates and versions", [2]int{len(w.Description), int(w.Version)}, [2]int{80, 81})
}

func testWorkgroupNotEmpty(t *testing.T, db Store) {
	ctx := t.Context()
	mustWorkgroup(t, db, "spark")
	s := mustSession(t, db, epoch0)
	wantError(t, "DeleteWorkgroup with a live session", db.DeleteWorkgroup(ctx, account, "spark"), workgroup.ErrNotEmpty)
	_, err := db.Workgroup(ctx, account, "spark")
	wantError(t, "Workgroup after a refused delete", err, nil)
	_, err = db.UpdateSession(ctx, s.Key, func(s *session.Session) error { s.Desired = session.Ended; return nil })
	wantError(t, "UpdateSession", err, nil)
	wantError(t, "DeleteWorkgroup once all were asked to end", db.DeleteWorkgroup(ctx, account, "spark"), nil)
	_, err = db.Session(ctx, s.Key)
	wantError(t, "Session of a deleted workgroup", err, nil)

	_, _, err = db.CreateSession(ctx, session.Creation{Session: newSession(epoch0), NeedsWorkgroup: true})
	wantError(t, "CreateSession in a workgroup that is gone", err, workgroup.ErrNotFound)
	mustWorkgroup(t, db, "spark")
	_, _, err = db.CreateSession(ctx, session.Creation{Session: newSession(epoch0), NeedsWorkgroup: true})
	wantError(t, "CreateSession in a workgroup that is there", err, nil)
}

func testTags(t *testing.T, db Store) {
	ctx := t.Context()
	mustWorkgroup(t, db, "spark", workgroup.Tag{Key: "b", Value: "2"}, workgroup.Tag{Key: "a", Value: ""})
	s := newSession(epoch0)
	_, _, err := db.CreateSession(ctx, session.Creation{Session: s, Tags: []workgroup.Tag{{Key: "owner", Value: "me"}}})
	wantError(t, "CreateSession", err, nil)
	ofWorkgroup := workgroup.Resource{Account: account, Workgroup: "spark"}
	ofSession := workgroup.Resource{Account: account, Workgroup: "spark", Session: s.ID}

	tags, err := db.Tags(ctx, ofWorkgroup)
	wantError(t, "Tags", err, nil)
	wantEqual(t, "tags in the order of their keys", tags, []workgroup.Tag{{Key: "a", Value: ""}, {Key: "b", Value: "2"}})
	tags, err = db.Tags(ctx, ofSession)
	wantError(t, "Tags of a session", err, nil)
	wantEqual(t, "tags of a session", tags, []workgroup.Tag{{Key: "owner", Value: "me"}})

	add := func(have []workgroup.Tag) ([]workgroup.Tag, error) {
		return append(have, workgroup.Tag{Key: "Z", Value: "new"}), nil
	}
	for _, of := range []workgroup.Resource{ofWorkgroup, ofSession} {
		wantError(t, "ChangeTags", db.ChangeTags(ctx, of, add), nil)
		tags, _ = db.Tags(ctx, of)
		wantEqual(t, "first tag after a change", tags[0], workgroup.Tag{Key: "Z", Value: "new"})
		refuse := func(have []workgroup.Tag) ([]workgroup.Tag, error) { have[0].Value = "never"; return nil, errChange }
		wantError(t, "ChangeTags refused by change", db.ChangeTags(ctx, of, refuse), errChange)
		again, _ := db.Tags(ctx, of)
		wantEqual(t, "tags after a refused change", again, tags)
	}
	wantError(t, "ChangeTags to none", db.ChangeTags(ctx, ofSession, func([]workgroup.Tag) ([]workgroup.Tag, error) { return nil, nil }), nil)
	tags, err = db.Tags(ctx, ofSession)
	wantError(t, "Tags", err, nil)
	wantEqual(t, "number of tags", len(tags), 0)
	wantError(t, "ChangeTags from none", db.ChangeTags(ctx, ofSession, add), nil)

	w, _ := db.Workgroup(ctx, account, "spark")
	got, _ := db.Session(ctx, s.Key)
	wantEqual(t, "row versions after tags changed", [2]int64{w.Version, got.Version}, [2]int64{1, 1})

	for _, of := range []workgroup.Resource{
		{Account: account, Workgroup: "nobody"},
		{Account: "111111111111", Workgroup: "spark"},
		{Account: account, Workgroup: "spark", Session: "nobody"},
		{Account: account, Workgroup: "other", Session: s.ID},
	} {
		_, err := db.Tags(ctx, of)
		wantError(t, fmt.Sprintf("Tags of %+v", of), err, workgroup.ErrNotFound)
		wantError(t, fmt.Sprintf("ChangeTags of %+v", of), db.ChangeTags(ctx, of, add), workgroup.ErrNotFound)
	}
}

func testTagsRace(t *testing.T, db Store) {
	mustWorkgroup(t, db, "spark")
	of := workgroup.Resource{Account: account, Workgroup: "spark"}
	together(16, func(i int) {
		err := db.ChangeTags(t.Context(), of, func(have []workgroup.Tag) ([]workgroup.Tag, error) {
			return append(have, workgroup.Tag{Key: fmt.Sprintf("k%02d", i)}), nil
		})
		if err != nil {
			t.Errorf("ChangeTags: %v", err)
		}
	})
	tags, err := db.Tags(t.Context(), of)
	wantError(t, "Tags", err, nil)
	wantEqual(t, "number of tags", len(tags), 16)
	wantEqual(t, "order of tags", slices.IsSortedFunc(tags, func(a, b workgroup.Tag) int {
		return int(a.Key[1]-b.Key[1])*10 + int(a.Key[2]) - int(b.Key[2])
	}), true)
}

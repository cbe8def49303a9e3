package storetest

import (
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"glaux/internal/access"
	"glaux/internal/session"
)

func testTickets(t *testing.T, db Store) {
	ctx := t.Context()
	one, two := mustSession(t, db, epoch0), mustSession(t, db, epoch0.Add(time.Second))
	ticket := func(text string, s session.Session, expires time.Time) access.Ticket {
		hash := sha256.Sum256([]byte(text))
		return access.Ticket{Hash: hash[:], Session: string(s.Key), Caller: "arn:ann", UserID: "AIDA", Expires: expires}
	}
	good := ticket("a", one, epoch0.Add(time.Hour))
	wantError(t, "PutTicket", db.PutTicket(ctx, good, epoch0), nil)
	_, err := db.TakeTicket(ctx, good.Hash, string(two.Key), epoch0)
	wantError(t, "TakeTicket of another session", err, access.ErrNoTicket)
	_, err = db.TakeTicket(ctx, good.Hash, string(one.Key), good.Expires)
	wantError(t, "TakeTicket when it expires", err, access.ErrNoTicket)
	got, err := db.TakeTicket(ctx, good.Hash, string(one.Key), epoch0.Add(time.Minute))
	wantError(t, "TakeTicket", err, nil)
	wantEqual(t, "ticket", got, good)
	_, err = db.TakeTicket(ctx, good.Hash, string(one.Key), epoch0)
	wantError(t, "TakeTicket again", err, access.ErrNoTicket)

	old, next := ticket("b", one, epoch0.Add(time.Hour)), ticket("c", one, epoch0.Add(3*time.Hour))
	wantError(t, "PutTicket", db.PutTicket(ctx, old, epoch0), nil)
	wantError(t, "PutTicket later", db.PutTicket(ctx, next, epoch0.Add(2*time.Hour)), nil)
	_, err = db.TakeTicket(ctx, old.Hash, string(one.Key), epoch0)
	wantError(t, "TakeTicket of one that was dropped", err, access.ErrNoTicket)

	mustEnd(t, db, one.Key, epoch0.Add(time.Minute), session.Asked)
	wantError(t, "DeleteSession", db.DeleteSession(ctx, one.Key), nil)
	_, err = db.TakeTicket(ctx, next.Hash, string(one.Key), epoch0)
	wantError(t, "TakeTicket of a session that is gone", err, access.ErrNoTicket)
	if err := db.PutTicket(ctx, good, epoch0); err == nil {
		t.Error("a ticket to a session that is gone was kept")
	}
}

func testTicketRace(t *testing.T, db Store) {
	s := mustSession(t, db, epoch0)
	hash := sha256.Sum256([]byte("ticket"))
	err := db.PutTicket(t.Context(), access.Ticket{Hash: hash[:], Session: string(s.Key), Caller: "arn:ann", Expires: epoch0.Add(time.Hour)}, epoch0)
	wantError(t, "PutTicket", err, nil)
	var all sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		all.Go(func() {
			_, err := db.TakeTicket(t.Context(), hash[:], string(s.Key), epoch0)
			results <- err
		})
	}
	all.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, access.ErrNoTicket) {
			t.Errorf("TakeTicket: %v", err)
		}
	}
	wantEqual(t, "takers of one ticket", won, 1)
}

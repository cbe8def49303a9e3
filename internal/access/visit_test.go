package access

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memoryTickets is a TicketStore for tests.
type memoryTickets struct {
	mu  sync.Mutex
	all []Ticket // guarded by mu
}

func (m *memoryTickets) PutTicket(_ context.Context, t Ticket, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, t)
	return nil
}

func (m *memoryTickets) TakeTicket(_ context.Context, hash []byte, session string, now time.Time) (Ticket, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, t := range m.all {
		if bytes.Equal(t.Hash, hash) && t.Session == session && t.Expires.After(now) {
			m.all = append(m.all[:i], m.all[i+1:]...)
			return t, nil
		}
	}
	return Ticket{}, ErrNoTicket
}

func TestTicketOpensOneSessionOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustOpen(t, Config{Dir: filepath.Join(t.TempDir(), "keys")})
		kept := &memoryTickets{}
		v := a.Visits(kept, 8*time.Hour)
		who := Caller{ARN: "arn:aws:iam::000000000000:user/ann", UserID: "AIDA"}
		ticket, err := v.Ticket(t.Context(), who, "one")
		if err != nil || len(ticket) != 43 || strings.Trim(ticket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Fatalf("ticket %q, %v", ticket, err)
		}
		if bytes.Contains(kept.all[0].Hash, []byte(ticket)) {
			t.Error("the ticket itself is kept")
		}
		if _, err := v.Enter(t.Context(), ticket, "other"); !errors.Is(err, ErrNoTicket) {
			t.Errorf("a ticket to another session: %v", err)
		}
		visit, err := v.Enter(t.Context(), ticket, "one")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Enter(t.Context(), ticket, "one"); !errors.Is(err, ErrNoTicket) {
			t.Errorf("a used ticket: %v", err)
		}
		if arn, err := v.Visitor(visit, "one"); arn != who.ARN || err != nil {
			t.Errorf("visitor is %q, %v", arn, err)
		}
		flipped := []byte(visit)
		flipped[len(flipped)-3] ^= 1
		for _, bad := range []string{"", ".", "x", visit[:len(visit)-1], "00000000" + visit[8:], string(flipped), visit + "A"} {
			if _, err := v.Visitor(bad, "one"); !errors.Is(err, ErrNoVisit) {
				t.Errorf("visit %q: %v", bad, err)
			}
		}
		if _, err := v.Visitor(visit, "other"); !errors.Is(err, ErrNoVisit) {
			t.Errorf("a visit of another session: %v", err)
		}
		time.Sleep(8*time.Hour - time.Second)
		if _, err := v.Visitor(visit, "one"); err != nil {
			t.Errorf("just before the end: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := v.Visitor(visit, "one"); !errors.Is(err, ErrNoVisit) {
			t.Errorf("after the end: %v", err)
		}
		late, err := v.Ticket(t.Context(), who, "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(TicketLife)
		if _, err := v.Enter(t.Context(), late, "one"); !errors.Is(err, ErrNoTicket) {
			t.Errorf("an old ticket: %v", err)
		}
	})
}

func TestVisitOutlivesARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	kept := &memoryTickets{}
	before := mustOpen(t, Config{Dir: dir}).Visits(kept, time.Hour)
	ticket, err := before.Ticket(t.Context(), Caller{ARN: "arn:x"}, "one")
	if err != nil {
		t.Fatal(err)
	}
	after := mustOpen(t, Config{Dir: dir}).Visits(kept, time.Hour)
	visit, err := after.Enter(t.Context(), ticket, "one")
	if err != nil {
		t.Fatal(err)
	}
	if arn, err := before.Visitor(visit, "one"); arn != "arn:x" || err != nil {
		t.Errorf("visitor is %q, %v", arn, err)
	}
	if _, err := mustOpen(t, Config{}).Visits(kept, time.Hour).Visitor(visit, "one"); !errors.Is(err, ErrNoVisit) {
		t.Errorf("a visit of another server: %v", err)
	}
}

package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"glaux/internal/access"
	"glaux/internal/session"
)

// PutTicket implements access.TicketStore.
func (m *Memory) PutTicket(_ context.Context, t access.Ticket, now time.Time) error {
	if err := m.failed("PutTicket"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.sessions[session.Key(t.Session)]; !ok {
		return fmt.Errorf("cannot keep a ticket to session %q: it is not there", t.Session)
	}
	m.tickets = slices.DeleteFunc(m.tickets, func(have access.Ticket) bool { return !have.Expires.After(now) })
	t.Hash, t.Expires = slices.Clone(t.Hash), stored(t.Expires)
	m.tickets = append(m.tickets, t)
	return nil
}

// TakeTicket implements access.TicketStore.
func (m *Memory) TakeTicket(_ context.Context, hash []byte, of string, now time.Time) (access.Ticket, error) {
	if err := m.failed("TakeTicket"); err != nil {
		return access.Ticket{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, there := m.sessions[session.Key(of)]
	at := slices.IndexFunc(m.tickets, func(t access.Ticket) bool {
		return bytes.Equal(t.Hash, hash) && t.Session == of && t.Expires.After(now)
	})
	if at < 0 || !there {
		return access.Ticket{}, access.ErrNoTicket
	}
	t := m.tickets[at]
	m.tickets = slices.Delete(m.tickets, at, at+1)
	return t, nil
}

package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// TicketLife is how long the URL of a session's UI can be opened.
const TicketLife = time.Hour

// ticketLen is how many characters a ticket has: 32 bytes in base64.
const ticketLen = 43

// Ticket is the permission to open the UI of one session once, as it is
// stored. What is handed out is not kept, only its hash.
type Ticket struct {
	Hash    []byte // SHA-256 of the ticket
	Session string // key of the session
	Caller  string // ARN of who asked for it
	UserID  string // of the same
	Expires time.Time
}

// TicketStore keeps the tickets that were not used yet.
type TicketStore interface {
	// PutTicket writes a ticket of a session that is stored, and drops the
	// tickets that expired by now.
	PutTicket(ctx context.Context, t Ticket, now time.Time) error
	// TakeTicket removes the ticket of the session and returns it, once: of
	// several that take the same one gets it. The error is ErrNoTicket when
	// there is none that is good at the time now; one of another session stays.
	TakeTicket(ctx context.Context, hash []byte, session string, now time.Time) (Ticket, error)
}

// What tickets and visits are refused with.
var (
	ErrNoTicket = errors.New("there is no such ticket, or it was used or has expired")
	ErrNoVisit  = errors.New("not a visit of this session, or it is over")
)

// Visits lets browsers see the UIs of sessions: a ticket opens one, and what
// it is exchanged for keeps it open for a while. It is safe for concurrent use.
type Visits struct {
	ring  *ring
	store TicketStore
	life  time.Duration
}

// Visits returns what admits browsers to the UIs of sessions, each for life
// after it came with a ticket.
func (a *Authority) Visits(store TicketStore, life time.Duration) *Visits {
	return &Visits{ring: a.ring, store: store, life: life}
}

// Life is how long a visit lasts.
func (v *Visits) Life() time.Duration { return v.life }

// Ticket makes a ticket to the session for the caller, who was asked whether
// it may: 43 letters, digits, - and _. It is good once, and for TicketLife.
func (v *Visits) Ticket(ctx context.Context, who Caller, session string) (string, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	text := base64.RawURLEncoding.EncodeToString(secret)
	now := time.Now()
	err := v.store.PutTicket(ctx, Ticket{
		Hash: hashOf(text), Session: session, Caller: who.ARN, UserID: who.UserID, Expires: now.Add(TicketLife),
	}, now)
	if err != nil {
		return "", fmt.Errorf("cannot keep a ticket: %w", err)
	}
	return text, nil
}

func hashOf(ticket string) []byte {
	sum := sha256.Sum256([]byte(ticket))
	return sum[:]
}

// visit is what the text of a visit says once it is opened.
type visit struct {
	Caller  string `json:"c"`
	UserID  string `json:"u"`
	Expires int64  `json:"e"` // Unix seconds
}

// Enter exchanges a ticket of the session for a visit, which a browser keeps
// as a cookie: letters, digits, '.', - and _, bound to the session. The error
// is ErrNoTicket, or the store's.
func (v *Visits) Enter(ctx context.Context, ticket, session string) (string, error) {
	if len(ticket) != ticketLen { // nobody makes the store work with anything
		return "", ErrNoTicket
	}
	now := time.Now()
	t, err := v.store.TakeTicket(ctx, hashOf(ticket), session, now)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(visit{Caller: t.Caller, UserID: t.UserID, Expires: now.Add(v.life).Unix()})
	if err != nil {
		return "", fmt.Errorf("cannot encode a visit: %w", err)
	}
	k := v.ring.newest()
	return k.id + "." + base64.RawURLEncoding.EncodeToString(k.visits.Seal(nil, nil, text, []byte(session))), nil
}

// Visitor returns the ARN of the caller whose ticket the visit came from, or
// ErrNoVisit when the text is none of this session's or is too old.
func (v *Visits) Visitor(text, session string) (string, error) {
	id, sealed, ok := strings.Cut(text, ".")
	k := v.ring.key(id)
	if !ok || k == nil {
		return "", ErrNoVisit
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return "", ErrNoVisit
	}
	raw, err = k.visits.Open(nil, nil, raw, []byte(session))
	if err != nil {
		return "", ErrNoVisit
	}
	var as visit
	if json.Unmarshal(raw, &as) != nil || !time.Now().Before(time.Unix(as.Expires, 0)) {
		return "", ErrNoVisit
	}
	return as.Caller, nil
}

package session

import (
	"context"
	"errors"
	"time"

	"glaux/internal/workgroup"
)

// Store keeps sessions. Every method is one transaction, is safe for
// concurrent use, and returns only once what it wrote would survive a crash.
// An error that is none of those named here means that the store cannot be
// used at the moment; nothing was written then.
type Store interface {
	// CreateSession writes n.Session with row version 1, its tags and its
	// token. When the account has used the token for this operation before,
	// nothing is written: with the same hash the session it made then is
	// returned as it is now, and false; with another hash the error is
	// ErrTokenUsed. After that come ErrTaken, when callers see a Glue session of the
	// same id in the account, and ErrTooMany, Refused and ErrNotebookBusy, as Creation says.
	CreateSession(ctx context.Context, n Creation) (s Session, created bool, err error)
	// Session returns the session of the key, or ErrNotFound.
	Session(ctx context.Context, key Key) (Session, error)
	// FindSession returns the session that callers see under the id, which is
	// none that is Deleted. The error is ErrNotFound.
	FindSession(ctx context.Context, account string, face Face, id string) (Session, error)
	// UpdateSession reads the row, lets change edit a copy, and writes that
	// where the row version is still the same, raising the version by one;
	// otherwise it starts again, so change may run several times. An error of
	// change is returned as it is and nothing is written. An Ended session is
	// never written again, except for Handle, Executors and Lived: the store
	// refuses another State. Key, Account, Face, ID and Created never change.
	UpdateSession(ctx context.Context, key Key, change func(*Session) error) (Session, error)
	// Sessions returns the sessions that q selects, newest first: by Created,
	// then by Key, both descending.
	Sessions(ctx context.Context, q Query) ([]Session, error)
	// DeleteSession removes an Ended session with its calculations, tags and
	// tokens. Removing what is not there is no error.
	DeleteSession(ctx context.Context, key Key) error
	// NextEpoch raises the server epoch by one and returns it; the first is 1.
	// A server takes one when it starts, before it touches any driver.
	NextEpoch(ctx context.Context) (uint64, error)
}

// TagStore keeps the tags of Glue sessions beside them, by the rules of Store.
type TagStore interface {
	// SessionTags returns the tags of a session, in the order of their keys, or
	// ErrNotFound.
	SessionTags(ctx context.Context, key Key) ([]workgroup.Tag, error)
	// ChangeSessionTags replaces the tags of a session by what change makes of
	// them, which may run several times; its error is returned as it is and
	// nothing is written. The session's row version stays. ErrNotFound: no such
	// session.
	ChangeSessionTags(ctx context.Context, key Key, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error
}

// Creation is what CreateSession writes in one transaction.
type Creation struct {
	Session   Session
	ARN       string // of the session; the tags are kept under it
	Tags      []workgroup.Tag
	Operation string // the token's scope within the account, such as "StartSession"
	Token     string // the caller's idempotency token; empty: none
	Hash      []byte // of the request's parameters, 32 bytes
	// MaxLive refuses the session with ErrTooMany when so many sessions of all
	// accounts and faces are not Ended. Zero: no limit.
	MaxLive int
	// Refused refuses the session with this error: no budget has room for it. The
	// token and the id are looked at first. Nil: it does not.
	Refused error
	// NeedsWorkgroup refuses the session with workgroup.ErrNotFound when its
	// workgroup is not there (any more): a delete and a start cannot cross.
	NeedsWorkgroup bool
	// With Session.NotebookID set, the error is ErrNotebookBusy while another
	// session of the account with that notebook is not Ended.
}

// Query selects sessions. Empty members select all.
type Query struct {
	Account   string
	Face      Face
	Workgroup string
	States    []State
	Causes    []Cause         // applies to Ended sessions only
	EndedBy   time.Time       // only sessions with EndedAt at or before it; zero: all
	Deleted   Shown           // which of the deleted sessions; zero: all sessions
	Tags      []workgroup.Tag // only sessions that have every one of them
	After     Cursor          // only what comes after it in the list's order, which is older
	Limit     int             // at most so many; zero: all
}

// Shown selects sessions by whether they were deleted.
type Shown int

// The selections.
const (
	All         Shown = iota
	OnlyVisible       // callers see them
	OnlyDeleted
)

// Cursor is a place in a list that is ordered newest first: by time, then by
// id. It stays good while rows come and go.
type Cursor struct {
	Time time.Time
	ID   string
}

// What a Store returns.
var (
	ErrNotFound     = errors.New("no such session")
	ErrTokenUsed    = errors.New("token was used with other parameters")
	ErrTaken        = errors.New("a session has that id")
	ErrTooMany      = errors.New("too many live sessions")
	ErrNotebookBusy = errors.New("notebook has a live session")
)

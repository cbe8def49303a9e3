// Package resource keeps what Glue sessions refer to by name: connections,
// security configurations and usage profiles.
//
// The documents themselves are JSON that package glueapi makes of the SDK's
// types and reads again, so that no member of the model is lost here. They are
// sealed before they reach the store: connections hold passwords. What usage
// profiles mean for a session is decided here.
package resource

import (
	"context"
	"errors"
	"time"

	"glaux/internal/workgroup"
)

// Kind says what an item is, in the word that its ARN has.
type Kind string

// The kinds.
const (
	Connection            Kind = "connection"
	SecurityConfiguration Kind = "securityConfiguration"
	UsageProfile          Kind = "usageProfile"
)

// noun is what a kind is called in messages.
func (k Kind) noun() string {
	switch k {
	case Connection:
		return "Connection"
	case SecurityConfiguration:
		return "Security configuration"
	case UsageProfile:
		return "Usage profile"
	}
	return string(k)
}

// Key names an item. Names heed case.
type Key struct {
	Account string
	Kind    Kind
	Name    string
}

// Item is one connection, security configuration or usage profile.
type Item struct {
	Key
	Doc       []byte    // JSON; sealed in the store
	Created   time.Time // UTC
	Changed   time.Time // UTC
	ChangedBy string    // ARN
	Version   int64     // set by the store; counts changes from 1
}

// What a Store says of items.
var (
	ErrNotFound = errors.New("no such item")
	ErrExists   = errors.New("item exists")
	ErrFull     = errors.New("too many items")
)

// Store keeps items. Errors other than those named mean that the store cannot
// be used. Written means that it would survive the end of the process.
type Store interface {
	// CreateItem writes a new item; ErrExists, or ErrFull when the account has
	// limit of the kind.
	CreateItem(ctx context.Context, i Item, tags []workgroup.Tag, limit int) error
	// Item returns one, or ErrNotFound.
	Item(ctx context.Context, k Key) (Item, error)
	// UpdateItem edits one by compare-and-swap: change may run again, without
	// any lock held, and its error is returned as it is. Key, time of creation
	// and version stay what they are. ErrNotFound.
	UpdateItem(ctx context.Context, k Key, change func(*Item) error) (Item, error)
	// DeleteItem removes one with its tags, or ErrNotFound.
	DeleteItem(ctx context.Context, k Key) error
	// Items returns up to limit of a kind whose names come after the given one,
	// in the order of their names' bytes.
	Items(ctx context.Context, account string, kind Kind, after string, limit int) ([]Item, error)
	// ItemTags returns the tags in the order of their keys, or ErrNotFound.
	ItemTags(ctx context.Context, k Key) ([]workgroup.Tag, error)
	// ChangeItemTags replaces the tags by compare-and-swap, as UpdateItem does.
	ChangeItemTags(ctx context.Context, k Key, change func([]workgroup.Tag) ([]workgroup.Tag, error)) error
}

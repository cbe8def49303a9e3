package workgroup

import (
	"context"
	"errors"
)

// Store keeps workgroups and tags. Every method is one transaction, is safe
// for concurrent use, and returns only once what it wrote would survive a
// crash. An error that is none of those named here means that the store cannot
// be used at the moment; nothing was written then.
type Store interface {
	// CreateWorkgroup writes w with row version 1 and its tags. The error is
	// ErrExists when the account has a workgroup of that name, and ErrFull when
	// it has limit workgroups already.
	CreateWorkgroup(ctx context.Context, w Workgroup, tags []Tag, limit int) error
	// Workgroup returns one workgroup, or ErrNotFound.
	Workgroup(ctx context.Context, account, name string) (Workgroup, error)
	// UpdateWorkgroup reads the row, lets change edit a copy, and writes that
	// where the row version is still the same, raising the version by one;
	// otherwise it starts again, so change may run several times. An error of
	// change is returned as it is and nothing is written. Account, Name and
	// Created never change.
	UpdateWorkgroup(ctx context.Context, account, name string, change func(*Workgroup) error) (Workgroup, error)
	// DeleteWorkgroup removes a workgroup with its tags. The error is
	// ErrNotFound, or ErrNotEmpty while the workgroup has a session that nobody
	// asked to end. Sessions that ended, or were asked to, stay as they are.
	DeleteWorkgroup(ctx context.Context, account, name string) error
	// Workgroups returns at most limit workgroups of the account in the order
	// of their names (by bytes), those after the name after; zero limit: all.
	Workgroups(ctx context.Context, account, after string, limit int) ([]Workgroup, error)
	// Tags returns the tags of a resource in the order of their keys, or
	// ErrNotFound when there is no such resource.
	Tags(ctx context.Context, of Resource) ([]Tag, error)
	// ChangeTags replaces the tags of a resource with what change makes of
	// them, by the rules of UpdateWorkgroup: change may run several times, its
	// error is returned as it is. ErrNotFound: no such resource.
	ChangeTags(ctx context.Context, of Resource, change func([]Tag) ([]Tag, error)) error
}

// Resource names what can carry tags: a workgroup, or an Athena session in it.
type Resource struct {
	Account   string
	Workgroup string
	Session   string // the session's public id; empty: the workgroup itself
}

// What a Store returns.
var (
	ErrNotFound = errors.New("no such workgroup or resource")
	ErrExists   = errors.New("workgroup exists")
	ErrFull     = errors.New("too many workgroups")
	ErrNotEmpty = errors.New("workgroup has sessions")
)

//go:build !linux

package sandbox

import (
	"errors"
	"syscall"
)

// Supported says whether this process can give sessions uids of their own.
func Supported() bool { return false }

// Attr returns the attributes with which Init is to be started.
func Attr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Init is not there: processes are started directly.
func Init(_, _ []string) error { return errors.New("cannot start sandbox: not on this system") }

// Attr adds nothing: there are no groups.
func (g *Group) Attr(*syscall.SysProcAttr) (release func(), err error) { return func() {}, nil }

// FindGroups finds none: this system has no control groups.
func FindGroups(func(pid int) bool) (Groups, string) {
	return Groups{}, "this system has no control groups"
}

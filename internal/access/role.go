package access

import (
	"strings"
	"time"
)

// RoleInfo is what IAM tells about a role.
type RoleInfo struct {
	Name    string
	Path    string // "/", or with the names between: "/team/"
	ARN     string
	ID      string    // AROA…; the first half of the UserID of who assumed it
	Created time.Time // UTC
}

// FindRole returns the role of a name, which IAM knows without its path. Any
// well-formed name is a role, as any well-formed ARN is one that AssumedRole
// takes: with the path of the configuration's role of that name, else with
// that of the caller's own role, else without. Roles are as old as the key
// ring, which is when the account began.
func (a *Authority) FindRole(who Caller, name string) (RoleInfo, bool) {
	if !nameForm.MatchString(name) {
		return RoleInfo{}, false
	}
	arn, ok := a.named[name]
	if !ok {
		arn = a.home.Role(name)
		if who.Account == a.home.Account && roleName(who.Role) == name {
			arn = who.Role
		}
	}
	return RoleInfo{
		Name: name, ARN: arn, ID: a.uniqueID("AROA", arn), Created: a.ring.keys[0].created.UTC().Truncate(time.Second),
		Path: "/" + strings.TrimSuffix(strings.TrimPrefix(arn, a.home.Role("")), name),
	}, true
}

// roleName returns the name at the end of a role's path or ARN.
func roleName(role string) string { return role[strings.LastIndexByte(role, '/')+1:] }

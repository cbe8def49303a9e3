package access

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"glaux/internal/fault"
	"glaux/internal/ident"
)

// Rule permits actions on resources. Both are patterns in which * stands for
// any text and ? for one character, as in IAM; actions do not heed case.
type Rule struct {
	Actions   []string // such as "athena:*" or "s3:Get*"
	Resources []string // ARNs; empty: all
}

// validate says what is wrong with a rule.
func (r Rule) validate() error {
	if len(r.Actions) == 0 {
		return errors.New("it permits no actions")
	}
	for _, a := range r.Actions {
		if a != "*" && !actionForm.MatchString(a) {
			return fmt.Errorf("action %q must be * or service:action", a)
		}
	}
	for _, p := range r.Resources {
		if p != "*" && !strings.HasPrefix(p, "arn:") {
			return fmt.Errorf("resource %q must be * or an ARN", p)
		}
	}
	return nil
}

var actionForm = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9*?]+$`)

// permits reports whether the rule covers the action on the resource.
func (r Rule) permits(action, resource string) bool {
	return anyMatches(r.Actions, action, true) && (len(r.Resources) == 0 || anyMatches(r.Resources, resource, false))
}

func anyMatches(patterns []string, text string, fold bool) bool {
	for _, p := range patterns {
		if glob(p, text, fold) {
			return true
		}
	}
	return false
}

// glob matches text with a pattern of *, ? and plain bytes, in time
// proportional to their product at worst.
func glob(pattern, text string, fold bool) bool {
	p, t, star, mark := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || same(pattern[p], text[t], fold)):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func same(a, b byte, fold bool) bool {
	return a == b || (fold && lower(a) == lower(b))
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// DefaultRules returns what an assumed role may do that has no rules of its
// own: everything in the data services; of IAM only to hand a role to a
// session, because whoever starts one does that, and to look one up, because
// the notebook kernels of Glue do before they hand it over; of STS only what concerns
// itself.
func DefaultRules() []Rule {
	return []Rule{{Actions: []string{"athena:*", "glue:*", "s3:*", "logs:*", "iam:PassRole", "iam:GetRole"}}}
}

// free are the actions that need no permission: each tells or gives a caller
// nothing that it does not have already.
func free(action string) bool {
	return action == "sts:GetCallerIdentity" || action == "sts:GetSessionToken"
}

// sessionMay decides for the execution role of a session. It may do everything
// with its own session and nothing with others, run queries and look around in its workgroup, and use
// the Data Catalog, the object store and the logs, but for the managed logs of
// other workgroups.
func (a *Authority) sessionMay(who Caller, action, resource string) bool {
	service, operation, _ := strings.Cut(action, ":")
	switch service {
	case "s3":
		return true
	case "glue":
		return a.glueSessionMay(who, operation, resource)
	case "logs":
		if rest, ok := strings.CutPrefix(resource, a.home.LogGroup(ident.GlueLogs)); ok {
			return ownGlueLogs(who, operation, rest)
		}
		managed, ok := strings.CutPrefix(resource, a.home.LogGroup(ident.ManagedLogs))
		group, _, _ := strings.Cut(managed, ":")
		return !ok || group == who.Workgroup
	case "athena":
	default:
		return false
	}
	workgroup := a.home.Workgroup(who.Workgroup)
	session := workgroup + "/session/" + who.SessionKey
	looks := strings.HasPrefix(operation, "Get") || strings.HasPrefix(operation, "List") || strings.HasPrefix(operation, "BatchGet")
	switch {
	case resource == session || strings.HasPrefix(resource, session+"/"):
		return true
	case resource == workgroup:
		return operation == "StartQueryExecution" || operation == "StopQueryExecution" ||
			(looks && !strings.Contains(operation, "Session") && !strings.Contains(operation, "Calculation")) ||
			operation == "ListSessions"
	case resource == "*":
		return strings.HasPrefix(operation, "List")
	}
	return looks && strings.HasPrefix(resource, "arn:"+a.home.Partition+":athena:"+a.home.Region+":"+a.home.Account+":datacatalog/")
}

// ownGlueLogs decides about the log groups that all Glue sessions write to: a
// session may reach its own streams there, whose names end with the beginning
// of its key, and make the groups, and nothing else.
func ownGlueLogs(who Caller, operation, rest string) bool {
	if who.GlueSession == "" || len(who.SessionKey) < ident.KeyInStream {
		return false
	}
	if operation == "CreateLogGroup" || operation == "CreateLogStream" {
		return true
	}
	_, stream, ok := strings.Cut(rest, ":log-stream:")
	return ok && strings.HasSuffix(stream, "_"+who.SessionKey[:ident.KeyInStream])
}

// glueSessionMay decides for a session what it may do in Glue: everything with
// its own session and the Data Catalog, and look at what sessions refer to.
func (a *Authority) glueSessionMay(who Caller, operation, resource string) bool {
	kind, id, ok := a.home.ParseGlue(resource)
	switch {
	case ok && kind == "session":
		return who.GlueSession != "" && id == who.GlueSession
	case ok && (kind == "connection" || kind == "securityConfiguration" || kind == "usageProfile"):
		return strings.HasPrefix(operation, "Get")
	}
	return operation != "ListSessions" && operation != "ListUsageProfiles"
}

// may is the decision itself.
func (a *Authority) may(who Caller, action, resource string) bool {
	switch {
	case who.Account != a.home.Account || who.ARN == "":
		return false
	case who.Root(), free(action):
		return true
	case who.SessionKey != "":
		// Rules of the role's own narrow what a session may do.
		rules, own := a.allow[who.Role]
		return a.sessionMay(who, action, resource) && (!own || permit(rules, action, resource))
	}
	name := who.Role
	if name == "" {
		name = who.ARN
	}
	rules, own := a.allow[name]
	if !own {
		if who.Role == "" {
			return true // a user of the configuration without rules
		}
		rules = a.defaults
	}
	return permit(rules, action, resource)
}

// permit reports whether any of the rules covers the action on the resource.
func permit(rules []Rule, action, resource string) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.permits(action, resource) })
}

// Decide returns nil, or a fault of kind Denied with AWS's text. Root may do
// everything; users and roles what their rules say, see User and Role; the
// execution role of a session what concerns its session, its workgroup's data
// and the object store, and of that only what the role's own rules say, if it
// has any. The audit entry is handed over before it returns.
func (a *Authority) Decide(ctx context.Context, who Caller, action, resource string) error {
	allowed := a.may(who, action, resource)
	if a.audit != nil {
		a.audit.Audit(ctx, Decision{Who: who, Action: action, Resource: resource, Allowed: allowed, Time: time.Now()})
	}
	if allowed {
		return nil
	}
	text := "User: " + who.ARN + " is not authorized to perform: " + action + " on resource: " + resource
	if action != "sts:AssumeRole" {
		text += " because no identity-based policy allows the " + action + " action"
	}
	return fault.New(fault.Denied, "%s", text).About(resource)
}

package logs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
)

// Manager is the store as clients see it. Every operation takes its caller and
// asks whether the caller may. Errors are faults with AWS's texts; anything
// else means that the files cannot be used. It is safe for concurrent use.
type Manager struct {
	store  *Store
	access access.Decider
	home   ident.Home
	pages  *ident.Pages
}

// NewManager returns a manager over the store.
func NewManager(store *Store, decider access.Decider, home ident.Home, pages *ident.Pages) *Manager {
	return &Manager{store: store, access: decider, home: home, pages: pages}
}

// maxTags is how many tags a group may have.
const maxTags = 50

// retentions are the days that PutRetentionPolicy takes.
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// decide asks about a group as a whole or, with a stream, about that.
func (m *Manager) decide(ctx context.Context, who access.Caller, action, group, stream string) error {
	return m.access.Decide(ctx, who, "logs:"+action, m.home.LogStream(group, stream))
}

// change asks about an action that changes something, which no group of the
// service's own allows to anybody.
func (m *Manager) change(ctx context.Context, who access.Caller, action, group, stream string) error {
	if err := m.decide(ctx, who, action, group, stream); err != nil {
		return err
	}
	return reserved(group)
}

// reserved refuses names that clients have no say about.
func reserved(group string) error {
	switch {
	case strings.HasPrefix(group, ReservedPrefix):
		return fault.Invalidf("Log groups starting with %s are reserved for Glaux.", ReservedPrefix)
	case strings.HasPrefix(strings.ToLower(group), "aws/"):
		return fault.Invalidf("Log groups starting with AWS/ are reserved for AWS.")
	}
	return nil
}

// said turns the store's errors into faults.
func said(err error) error {
	switch {
	case errors.Is(err, ErrNoGroup):
		return fault.New(fault.NotFound, "The specified log group does not exist.")
	case errors.Is(err, ErrNoStream):
		return fault.New(fault.NotFound, "The specified log stream does not exist.")
	case errors.Is(err, ErrGroupExists):
		return fault.New(fault.Exists, "The specified log group already exists")
	case errors.Is(err, ErrStreamExists):
		return fault.New(fault.Exists, "The specified log stream already exists")
	case errors.Is(err, ErrProtected):
		return &fault.Error{Kind: fault.Invalid, Code: "ValidationException", Message: "The log group is protected from deletion. Disable its deletion protection first."}
	}
	return err
}

// Name returns the name of the group that a client names, by its name or its
// ARN. One of another account or region is not there.
func (m *Manager) Name(identifier string) (string, error) {
	if !strings.HasPrefix(identifier, "arn:") {
		if !groupForm.MatchString(identifier) {
			return "", fault.Invalidf("Invalid log group identifier: %s", identifier)
		}
		return identifier, nil
	}
	name, ok := m.home.ParseLogGroup(identifier)
	if !ok {
		return "", said(ErrNoGroup)
	}
	return name, nil
}

// CreateGroup makes a group with its name, class, key, tags and protection.
func (m *Manager) CreateGroup(ctx context.Context, who access.Caller, g Group) error {
	if err := m.change(ctx, who, "CreateLogGroup", g.Name, ""); err != nil {
		return err
	}
	if len(g.Tags) > 0 {
		arn := m.home.LogGroup(g.Name)
		if err := m.access.Decide(ctx, who, "logs:TagResource", arn); err != nil && m.access.Decide(ctx, who, "logs:TagLogGroup", arn) != nil {
			return err
		}
		if err := checkTags(g.Tags); err != nil {
			return err
		}
	}
	g.Retention = 0
	return said(m.store.CreateGroup(g))
}

// DeleteGroup removes a group and everything in it.
func (m *Manager) DeleteGroup(ctx context.Context, who access.Caller, name string) error {
	if err := m.change(ctx, who, "DeleteLogGroup", name, ""); err != nil {
		return err
	}
	return said(m.store.DeleteGroup(name))
}

// Protect sets whether a group can be deleted.
func (m *Manager) Protect(ctx context.Context, who access.Caller, name string, on bool) error {
	if err := m.change(ctx, who, "PutLogGroupDeletionProtection", name, ""); err != nil {
		return err
	}
	return said(m.store.UpdateGroup(name, func(g *Group) error { g.Protected = on; return nil }))
}

// GroupQuery says which groups a list has.
type GroupQuery struct {
	Prefix  string
	Pattern string   // anywhere in the name
	Names   []string // nil: all
	Class   string   // empty: all
	Limit   int
	Token   string
}

// Groups returns a page of groups by name, and the token of the next page;
// an empty token means there is none.
func (m *Manager) Groups(ctx context.Context, who access.Caller, q GroupQuery) ([]Group, string, error) {
	if err := m.decide(ctx, who, "DescribeLogGroups", "", ""); err != nil {
		return nil, "", err
	}
	switch {
	case q.Prefix != "" && q.Pattern != "":
		return nil, "", fault.Invalidf("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
	case q.Names != nil && (q.Prefix != "" || q.Pattern != ""):
		return nil, "", fault.Invalidf("LogGroup identifiers cannot be combined with a LogGroup name prefix or pattern.")
	}
	scope := ident.Scope("DescribeLogGroups", who.Account, who.ARN, q.Prefix, q.Pattern, q.Class, strings.Join(q.Names, " "))
	after, err := m.open(scope, q.Token)
	if err != nil {
		return nil, "", err
	}
	all, more, err := m.store.Groups(after, q.Limit, func(g *Group) bool {
		return strings.HasPrefix(g.Name, q.Prefix) && strings.Contains(g.Name, q.Pattern) &&
			(q.Class == "" || g.Class == q.Class) && (q.Names == nil || slices.Contains(q.Names, g.Name))
	})
	if err != nil || !more {
		return all, "", err
	}
	return all, m.pages.Seal(scope, all[len(all)-1].Name), nil
}

// open returns the cursor of a token; empty without one.
func (m *Manager) open(scope, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	cursor, err := m.pages.Open(scope, token)
	if err != nil {
		return "", badToken(err)
	}
	return cursor, nil
}

func badToken(cause error) error {
	return fault.Invalidf("The specified nextToken is invalid.").Because(cause)
}

// CreateStream makes a stream.
func (m *Manager) CreateStream(ctx context.Context, who access.Caller, group, name string) error {
	if err := m.change(ctx, who, "CreateLogStream", group, name); err != nil {
		return err
	}
	return said(m.store.CreateStream(group, name))
}

// DeleteStream removes a stream and its events.
func (m *Manager) DeleteStream(ctx context.Context, who access.Caller, group, name string) error {
	if err := m.change(ctx, who, "DeleteLogStream", group, name); err != nil {
		return err
	}
	return said(m.store.DeleteStream(group, name))
}

// StreamQuery says which streams a list has and in which order.
type StreamQuery struct {
	Group      string
	Prefix     string
	ByLast     bool // by the time of the last event, not by name
	Descending bool
	Limit      int
	Token      string
}

// Streams returns a page of a group's streams, and the token of the next page;
// an empty token means there is none.
func (m *Manager) Streams(ctx context.Context, who access.Caller, q StreamQuery) ([]Stream, string, error) {
	if err := m.decide(ctx, who, "DescribeLogStreams", q.Group, ""); err != nil {
		return nil, "", err
	}
	if q.ByLast && q.Prefix != "" {
		return nil, "", fault.Invalidf("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	scope := ident.Scope("DescribeLogStreams", who.Account, who.ARN, q.Group, q.Prefix, strconv.FormatBool(q.ByLast), strconv.FormatBool(q.Descending))
	cursor, err := m.open(scope, q.Token)
	if err != nil {
		return nil, "", err
	}
	all, err := m.store.Streams(q.Group)
	if err != nil {
		return nil, "", said(err)
	}
	all = slices.DeleteFunc(all, func(s Stream) bool { return !strings.HasPrefix(s.Name, q.Prefix) })
	order := func(a, b streamPlace) int { return a.compare(b) }
	if q.Descending {
		order = func(a, b streamPlace) int { return b.compare(a) }
	}
	slices.SortFunc(all, func(a, b Stream) int { return order(q.place(a), q.place(b)) })
	if cursor != "" {
		at, err := q.parse(cursor, all)
		if err != nil {
			return nil, "", badToken(err)
		}
		all = slices.DeleteFunc(all, func(s Stream) bool { return order(q.place(s), at) <= 0 })
	}
	if len(all) <= q.Limit {
		return all, "", nil
	}
	all = all[:q.Limit]
	return all, m.pages.Seal(scope, q.place(all[len(all)-1]).String()), nil
}

// streamPlace is where a stream stands in a list.
type streamPlace struct {
	last int64 // milliseconds; 0 in a list by name
	name string
}

func (q *StreamQuery) place(s Stream) streamPlace {
	if !q.ByLast || s.Last.IsZero() {
		return streamPlace{0, s.Name}
	}
	return streamPlace{s.Last.UnixMilli(), s.Name}
}

func (p streamPlace) compare(o streamPlace) int {
	if p.last != o.last {
		if p.last < o.last {
			return -1
		}
		return 1
	}
	return strings.Compare(p.name, o.name)
}

// tokenName is how long a name may be to stand in a token itself.
const tokenName = 700

// String writes the place for a token: names that are too long for one by
// their directory's name.
func (p streamPlace) String() string {
	last := strconv.FormatInt(p.last, 10)
	if len(p.name) > tokenName {
		return last + "#" + dirOf(p.name)
	}
	return last + " " + p.name
}

// parse undoes String.
func (q *StreamQuery) parse(text string, all []Stream) (streamPlace, error) {
	end := strings.IndexAny(text, " #")
	if end < 0 {
		return streamPlace{}, ident.ErrPage
	}
	last, err := strconv.ParseInt(text[:end], 10, 64)
	if err != nil {
		return streamPlace{}, err
	}
	if text[end] == ' ' {
		return streamPlace{last, text[end+1:]}, nil
	}
	for _, s := range all {
		if dirOf(s.Name) == text[end+1:] {
			return streamPlace{last, s.Name}, nil
		}
	}
	return streamPlace{}, ErrNoStream // deleted between two pages
}

// SetRetention sets how many days the events of a group are kept.
func (m *Manager) SetRetention(ctx context.Context, who access.Caller, group string, days int) error {
	if err := m.change(ctx, who, "PutRetentionPolicy", group, ""); err != nil {
		return err
	}
	if !slices.Contains(retentions, days) {
		texts := make([]string, len(retentions))
		for i, d := range retentions {
			texts[i] = strconv.Itoa(d)
		}
		return fault.Invalidf("1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [%s]",
			days, strings.Join(texts, ", "))
	}
	return said(m.store.UpdateGroup(group, func(g *Group) error { g.Retention = days; return nil }))
}

// DeleteRetention lets the events of a group live for ever.
func (m *Manager) DeleteRetention(ctx context.Context, who access.Caller, group string) error {
	if err := m.change(ctx, who, "DeleteRetentionPolicy", group, ""); err != nil {
		return err
	}
	return said(m.store.UpdateGroup(group, func(g *Group) error { g.Retention = 0; return nil }))
}

// decideTags asks about an action on tags, whose resource is the bare group.
func (m *Manager) decideTags(ctx context.Context, who access.Caller, action, group string) error {
	return m.access.Decide(ctx, who, "logs:"+action, m.home.LogGroup(group))
}

// Tag adds tags to a group; a key that is there gets the new value. The action
// is TagResource or the older TagLogGroup.
func (m *Manager) Tag(ctx context.Context, who access.Caller, action, group string, tags map[string]string) error {
	if err := m.decideTags(ctx, who, action, group); err != nil {
		return err
	}
	if err := reserved(group); err != nil {
		return err
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	return said(m.store.UpdateGroup(group, func(g *Group) error {
		if g.Tags == nil {
			g.Tags = map[string]string{}
		}
		maps.Copy(g.Tags, tags)
		if len(g.Tags) > maxTags {
			return &fault.Error{Kind: fault.Invalid, Code: "TooManyTagsException", Message: "A resource can have no more than 50 tags.", Resource: m.home.LogGroup(group)}
		}
		return nil
	}))
}

// checkTags refuses keys that are AWS's own; the model has the rest.
func checkTags(tags map[string]string) error {
	for key := range tags {
		if strings.HasPrefix(strings.ToLower(key), "aws:") {
			return fault.Invalidf("aws: prefixed tag key names are not allowed for external use.")
		}
	}
	return nil
}

// Untag removes tags by their keys. Keys that are not there are ignored.
func (m *Manager) Untag(ctx context.Context, who access.Caller, action, group string, keys []string) error {
	if err := m.decideTags(ctx, who, action, group); err != nil {
		return err
	}
	if err := reserved(group); err != nil {
		return err
	}
	return said(m.store.UpdateGroup(group, func(g *Group) error {
		for _, k := range keys {
			delete(g.Tags, k)
		}
		return nil
	}))
}

// Tags returns the tags of a group.
func (m *Manager) Tags(ctx context.Context, who access.Caller, action, group string) (map[string]string, error) {
	if err := m.decideTags(ctx, who, action, group); err != nil {
		return nil, err
	}
	tags, err := m.store.Tags(group)
	return tags, said(err)
}

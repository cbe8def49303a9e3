package workgroup

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/ident"
)

// Limits of tags; lengths count characters.
const (
	MaxTags     = 50 // on one resource
	maxTagKey   = 128
	maxTagValue = 256
)

// Tag adds tags to the resource of the ARN; a key that is there gets the new value.
func (m *Manager) Tag(ctx context.Context, who access.Caller, arn string, tags []Tag) error {
	of, err := m.resource(ctx, who, "athena:TagResource", arn)
	if err != nil {
		return err
	}
	if err := CheckTags(tags); err != nil {
		return err
	}
	return foundResource(arn, m.store.ChangeTags(ctx, of, func(have []Tag) ([]Tag, error) {
		merged := Merge(have, tags)
		if len(merged) > MaxTags {
			return nil, tooManyTags()
		}
		return merged, nil
	}))
}

// Untag removes tags by their keys from the resource of the ARN. Keys that are
// not there are ignored.
func (m *Manager) Untag(ctx context.Context, who access.Caller, arn string, keys []string) error {
	of, err := m.resource(ctx, who, "athena:UntagResource", arn)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
	}
	return foundResource(arn, m.store.ChangeTags(ctx, of, func(have []Tag) ([]Tag, error) {
		return slices.DeleteFunc(slices.Clone(have), func(t Tag) bool { return slices.Contains(keys, t.Key) }), nil
	}))
}

// Tags returns a page of the tags on the resource of the ARN in the order of
// their keys, and the token of the next page; an empty token means there is none.
func (m *Manager) Tags(ctx context.Context, who access.Caller, arn string, p Page) ([]Tag, string, error) {
	of, err := m.resource(ctx, who, "athena:ListTagsForResource", arn)
	if err != nil {
		return nil, "", err
	}
	scope := ident.Scope("ListTagsForResource", who.Account, who.UserID, arn)
	after, err := m.open(scope, p.Token)
	if err != nil {
		return nil, "", err
	}
	all, err := m.store.Tags(ctx, of)
	if err != nil {
		return nil, "", foundResource(arn, err)
	}
	all = slices.DeleteFunc(all, func(t Tag) bool { return after != "" && t.Key <= after })
	size := p.size(MaxTags)
	if len(all) <= size {
		return all, "", nil
	}
	return all[:size], m.pages.Seal(scope, all[size-1].Key), nil
}

// WorkgroupTags returns the tags of a workgroup without asking who wants them,
// for a session that copies them.
func (m *Manager) WorkgroupTags(ctx context.Context, account, name string) ([]Tag, error) {
	tags, err := m.store.Tags(ctx, Resource{Account: account, Workgroup: name})
	return tags, found(err)
}

// Merge returns have with the tags of more, which win, in the order of their keys.
func Merge(have, more []Tag) []Tag {
	merged := slices.DeleteFunc(slices.Clone(have), func(t Tag) bool {
		return slices.ContainsFunc(more, func(n Tag) bool { return n.Key == t.Key })
	})
	merged = append(merged, more...)
	slices.SortFunc(merged, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return merged
}

// CheckTags refuses tags that no resource can have together.
func CheckTags(tags []Tag) error {
	if len(tags) > MaxTags {
		return tooManyTags()
	}
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		if err := checkKey(t.Key); err != nil {
			return err
		}
		switch {
		case seen[t.Key]:
			return fault.Invalidf("Tag key %s is given more than once.", t.Key)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return fault.Invalidf("aws: prefixed tag key names are not allowed for external use.")
		case utf8.RuneCountInString(t.Value) > maxTagValue || !tagText(t.Value):
			return fault.Invalidf("The value of tag %s is not valid: at most %d letters, digits, spaces and + - = . _ : / @ are allowed.", t.Key, maxTagValue)
		}
		seen[t.Key] = true
	}
	return nil
}

// checkKey refuses what no tag key can be.
func checkKey(key string) error {
	if key == "" || utf8.RuneCountInString(key) > maxTagKey || !tagText(key) {
		return fault.Invalidf("Tag key %s is not valid: 1 to %d letters, digits, spaces and + - = . _ : / @ are allowed.", key, maxTagKey)
	}
	return nil
}

// tagText reports whether all characters may stand in a tag.
func tagText(s string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Zs, r) && !strings.ContainsRune("+-=._:/@", r) {
			return false
		}
	}
	return true
}

func tooManyTags() error {
	return fault.Invalidf("A resource can have at most %d tags.", MaxTags)
}

// resource takes an ARN apart and asks whether who may do action on it.
func (m *Manager) resource(ctx context.Context, who access.Caller, action, arn string) (Resource, error) {
	if err := m.access.Decide(ctx, who, action, arn); err != nil {
		return Resource{}, err
	}
	if rest, ok := strings.CutPrefix(arn, m.home.Workgroup("")); ok && who.Account == m.home.Account {
		name, id, isSession := strings.Cut(rest, "/session/")
		if name != "" && !strings.Contains(name, "/") && isSession == (id != "") {
			return Resource{Account: who.Account, Workgroup: name, Session: id}, nil
		}
	}
	return Resource{}, foundResource(arn, ErrNotFound)
}

// foundResource turns a missing resource into Athena's refusal.
func foundResource(arn string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return fault.New(fault.NotFound, "Resource %s is not found.", arn).About(arn)
	}
	return err
}

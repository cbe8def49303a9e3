package awsapi

import (
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"sync"
	"unicode"
	"unicode/utf8"
)

//go:embed model/athena.json model/glue.json model/iam.json model/logs.json model/sts.json
var modelFiles embed.FS

// model is the constraint table of one service.
type model struct {
	Inputs map[string]string `json:"inputs"` // operation to its input's shape
	Shapes map[string]*rule  `json:"shapes"`
}

// rule says what the model demands of the values of one shape. Shapes that
// demand nothing are not in the table.
type rule struct {
	Members   [][]string `json:"m"`   // structure, in the model's order: name, shape or "", "required"
	Item      string     `json:"i"`   // list: shape of its items
	Key       string     `json:"k"`   // map: shape of its keys
	Value     string     `json:"v"`   // map: shape of its values
	Min       *float64   `json:"min"` // length of strings, lists and maps; value of numbers
	Max       *float64   `json:"max"`
	Pattern   string     `json:"re"`  // as the model has it, for messages
	Rewritten string     `json:"go"`  // the same in Go's syntax; empty: Pattern is
	Not       string     `json:"not"` // must not match at the start
	Enum      []string   `json:"enum"`
	Sensitive bool       `json:"secret"` // never repeated in a message
	Time      string     `json:"time"`   // "iso8601": text instead of epoch seconds

	once sync.Once
	re   *regexp.Regexp // compiled Pattern; by matches
	not  *regexp.Regexp // compiled Not; by matches
}

// leaf reports whether the rule demands something of the value itself.
func (r *rule) leaf() bool {
	return r != nil && (r.Min != nil || r.Max != nil || r.Pattern != "" || len(r.Enum) > 0)
}

// matches reports whether s satisfies the rule's pattern as a whole.
func (r *rule) matches(s string) bool {
	r.once.Do(func() {
		p := r.Rewritten
		if p == "" {
			p = r.Pattern
		}
		r.re = regexp.MustCompile(`\A(?:` + p + `)\z`)
		if r.Not != "" {
			r.not = regexp.MustCompile(`\A(?:` + r.Not + `)`)
		}
	})
	return r.re.MatchString(s) && (r.not == nil || !r.not.MatchString(s))
}

// The tables are read once, when first needed.
var (
	athenaModel = sync.OnceValues(func() (*model, error) { return readModel(Athena) })
	glueModel   = sync.OnceValues(func() (*model, error) { return readModel(Glue) })
	iamModel    = sync.OnceValues(func() (*model, error) { return readModel(IAM) })
	logsModel   = sync.OnceValues(func() (*model, error) { return readModel(Logs) })
	stsModel    = sync.OnceValues(func() (*model, error) { return readModel(STS) })
)

// modelOf returns the constraint table of a service, which is empty for those
// that have none.
func modelOf(service string) (*model, error) {
	switch service {
	case Athena:
		return athenaModel()
	case Glue:
		return glueModel()
	case IAM:
		return iamModel()
	case Logs:
		return logsModel()
	case STS:
		return stsModel()
	}
	return new(model), nil
}

// readModel reads an embedded table.
func readModel(service string) (*model, error) {
	text, err := modelFiles.ReadFile("model/" + service + ".json")
	m := new(model)
	if err == nil {
		err = json.Unmarshal(text, m)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the embedded model of %s: %w", service, err)
	}
	return m, nil
}

// lowerCamel spells a member the way validation messages do.
func lowerCamel(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

package resource

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"glaux/internal/access"
	"glaux/internal/fault"
)

// Profile is what a usage profile says of sessions and jobs. Names of its
// members are those of its document.
type Profile struct {
	SessionConfiguration map[string]Parameter
	JobConfiguration     map[string]Parameter
}

// Parameter is what a profile says of one parameter.
type Parameter struct {
	DefaultValue  *string
	AllowedValues []string
	MinValue      *string
	MaxValue      *string
}

// The parameters of sessions, and whether they are counts.
var sessionParameters = map[string]bool{numberOfWorkers: true, workerType: false, timeout: true, idleTimeout: true}

// The parameters of jobs likewise. Nothing here runs jobs.
var jobParameters = map[string]bool{numberOfWorkers: true, workerType: false, timeout: true}

// Names of parameters; they do not heed case.
const (
	numberOfWorkers = "numberofworkers"
	workerType      = "workertype"
	timeout         = "timeout"
	idleTimeout     = "idletimeout"
)

// CheckProfile refuses a profile that no session or job could be measured by.
func CheckProfile(p Profile) error {
	if len(p.SessionConfiguration)+len(p.JobConfiguration) == 0 {
		return fault.Invalidf("A usage profile configures at least one parameter of sessions or jobs.")
	}
	if err := checkParameters("SessionConfiguration", p.SessionConfiguration, sessionParameters); err != nil {
		return err
	}
	return checkParameters("JobConfiguration", p.JobConfiguration, jobParameters)
}

func checkParameters(where string, given map[string]Parameter, known map[string]bool) error {
	seen := map[string]bool{}
	for name, p := range given {
		key := strings.ToLower(name)
		count, ok := known[key]
		switch {
		case !ok:
			return fault.Invalidf("Parameter %s is not one that %s can have.", name, where)
		case seen[key]:
			return fault.Invalidf("Parameter %s is given more than once in %s.", name, where)
		}
		seen[key] = true
		var err error
		if count {
			err = p.checkCount(name)
		} else {
			err = p.checkChoice(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkCount checks what is said of a parameter that is a number from 1 on.
func (p Parameter) checkCount(name string) error {
	if len(p.AllowedValues) > 0 {
		return fault.Invalidf("Parameter %s is a number: it has MinValue and MaxValue, and no AllowedValues.", name)
	}
	low, err := count(name, "MinValue", p.MinValue)
	if err != nil {
		return err
	}
	high, err := count(name, "MaxValue", p.MaxValue)
	if err != nil {
		return err
	}
	preset, err := count(name, "DefaultValue", p.DefaultValue)
	switch {
	case err != nil:
		return err
	case low == 0 && high == 0 && preset == 0:
		return fault.Invalidf("Parameter %s has no value.", name)
	case low > 0 && high > 0 && low > high:
		return fault.Invalidf("The MinValue %d of parameter %s is above its MaxValue %d.", low, name, high)
	case preset > 0 && (preset < low || high > 0 && preset > high):
		return fault.Invalidf("The DefaultValue %d of parameter %s is outside of its MinValue and MaxValue.", preset, name)
	}
	return nil
}

// checkChoice checks what is said of a parameter that is one of some words.
func (p Parameter) checkChoice(name string) error {
	switch {
	case p.MinValue != nil || p.MaxValue != nil:
		return fault.Invalidf("Parameter %s is no number: it has AllowedValues, and no MinValue or MaxValue.", name)
	case p.DefaultValue == nil && len(p.AllowedValues) == 0:
		return fault.Invalidf("Parameter %s has no value.", name)
	case p.DefaultValue != nil && len(p.AllowedValues) > 0 && !slices.Contains(p.AllowedValues, *p.DefaultValue):
		return fault.Invalidf("The DefaultValue %s of parameter %s is not among its AllowedValues.", *p.DefaultValue, name)
	}
	return nil
}

// count is a value as a number; 0 when there is none.
func count(name, member string, text *string) (int32, error) {
	if text == nil {
		return 0, nil
	}
	n, err := strconv.ParseInt(*text, 10, 32)
	if err != nil || n < 1 {
		return 0, fault.Invalidf("The %s %s of parameter %s is not valid: it is a whole number from 1 on.", member, *text, name)
	}
	return int32(n), nil
}

// Request is what a usage profile limits of a session that is asked for.
type Request struct {
	Workers       *int32
	WorkerType    string // empty: not given
	Timeout, Idle *int32 // minutes
	// HasCapacity says that the session has MaxCapacity instead of workers.
	HasCapacity bool
	// Service is what the session gets where neither it nor the profile says
	// anything. Zero: no value.
	Service Defaults
}

// Defaults are the service's own.
type Defaults struct {
	Workers, Timeout, Idle int32
	WorkerType             string
}

// Apply finds the usage profile of the caller, refuses a request that goes
// beyond it, fills in its defaults, and returns its name, empty for none. A
// profile that is named in the configuration and is not there is a fault of
// kind NotFound: without it there would be no limits.
func (m *Manager) Apply(ctx context.Context, who access.Caller, in *Request) (string, error) {
	name, ok := m.cfg.Profiles[cmp.Or(who.Role, who.ARN)]
	if !ok {
		name = m.cfg.Profile
	}
	if name == "" {
		return "", nil
	}
	i, err := m.find(ctx, Key{who.Account, UsageProfile, name})
	if err != nil {
		return "", err
	}
	var doc struct{ Configuration Profile }
	if err := json.Unmarshal(i.Doc, &doc); err != nil {
		return "", fmt.Errorf("cannot read usage profile %q: %w", name, err)
	}
	return name, in.apply(name, doc.Configuration.SessionConfiguration)
}

func (in *Request) apply(profile string, says map[string]Parameter) error {
	for _, name := range slices.Sorted(maps.Keys(says)) {
		p, err := says[name], error(nil)
		switch key := strings.ToLower(name); {
		case key == timeout:
			in.Timeout, err = p.within(profile, name, in.Timeout, in.Service.Timeout)
		case key == idleTimeout:
			in.Idle, err = p.within(profile, name, in.Idle, in.Service.Idle)
		case in.HasCapacity:
			if p.MinValue != nil || p.MaxValue != nil || len(p.AllowedValues) > 0 {
				err = fault.Invalidf("Usage profile %s limits %s: give WorkerType and NumberOfWorkers instead of MaxCapacity.", profile, name)
			}
		case key == numberOfWorkers:
			in.Workers, err = p.within(profile, name, in.Workers, in.Service.Workers)
		case key == workerType:
			in.WorkerType, err = p.among(profile, name, in.WorkerType, in.Service.WorkerType)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// within returns the value that was asked for. Without one it is the
// profile's default, or else the service's as far as the limits let it.
func (p Parameter) within(profile, name string, value *int32, service int32) (*int32, error) {
	low, err := count(name, "MinValue", p.MinValue)
	if err != nil {
		return nil, err
	}
	high, err := count(name, "MaxValue", p.MaxValue)
	if err != nil {
		return nil, err
	}
	preset, err := count(name, "DefaultValue", p.DefaultValue)
	if err != nil {
		return nil, err
	}
	switch {
	case value != nil && (*value < low || high > 0 && *value > high):
		return nil, fault.Invalidf("The value %d of %s is not allowed by usage profile %s.", *value, name, profile)
	case value != nil:
		return value, nil
	case preset > 0:
		return &preset, nil
	case service > 0 && service < low:
		return &low, nil
	case high > 0 && (service > high || service == 0):
		return &high, nil
	}
	return nil, nil
}

// among does what within does for one of some words.
func (p Parameter) among(profile, name, value, service string) (string, error) {
	limited := len(p.AllowedValues) > 0
	switch {
	case value != "" && limited && !slices.Contains(p.AllowedValues, value):
		return "", fault.Invalidf("The value %s of %s is not allowed by usage profile %s.", value, name, profile)
	case value != "":
		return value, nil
	case p.DefaultValue != nil:
		return *p.DefaultValue, nil
	case limited && !slices.Contains(p.AllowedValues, service):
		return p.AllowedValues[0], nil
	}
	return "", nil
}

package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"glaux/internal/access"
	"glaux/internal/argument"
	"glaux/internal/engine"
	"glaux/internal/fault"
	"glaux/internal/workgroup"
)

// GlueRequest asks for a Glue session. Ranges and lengths of its members were
// checked before; pointers tell "absent" from the zero value.
type GlueRequest struct {
	ID             string // any text
	Description    string
	Role           string // ARN
	Kind           Kind   // empty: Livy
	Command        string
	PythonVersion  string
	GlueVersion    string // empty: 5.1
	Timeout        *int32 // minutes
	IdleTimeout    *int32 // minutes
	Arguments      map[string]string
	Connections    []string
	HasConnections bool // the member was given, if only as an empty list
	MaxCapacity    *float64
	WorkerType     string
	Workers        *int32
	Security       string
	Origin         string
	Tags           []workgroup.Tag
}

// The commands of sessions.
const (
	commandETL       = "glueetl"
	commandStreaming = "gluestreaming"
	commandRay       = "glueray"
)

// The Glue versions that are accepted. All run on the one runtime there is,
// which is that of nativeVersion.
var glueVersions = []string{"2.0", "3.0", "4.0", "5.0", "5.1"}

const (
	nativeVersion = "5.1"
	autoVersion   = "auto" // Glue's word for the newest it has
	// connectSince is the first version whose sessions speak Spark Connect.
	connectSince = "5.1"
)

// mostMinutes bounds the timeouts: 30 days, as the server's own defaults are.
const mostMinutes = 30 * 24 * 60

// StartGlue makes a Glue session and returns it as PROVISIONING; the driver
// comes up by itself. Refusals are faults and create nothing.
func (m *Manager) StartGlue(ctx context.Context, who access.Caller, in GlueRequest) (Session, error) {
	if err := m.cfg.Access.Decide(ctx, who, "glue:CreateSession", m.cfg.Home.GlueSession(in.ID)); err != nil {
		return Session{}, err
	}
	if err := m.enter(); err != nil {
		return Session{}, err
	}
	defer m.leave()
	if err := access.MayPass(ctx, m.cfg.Access, m.cfg.Home, who, in.Role); err != nil {
		return Session{}, err
	}
	profile := ""
	if m.cfg.Resources != nil {
		var err error
		if profile, err = m.cfg.Resources.ApplyProfile(ctx, who, &in); err != nil {
			return Session{}, err
		}
	}
	g, effect, err := in.config(m.cfg.GlueTimeout, m.cfg.GlueIdleTimeout)
	if err != nil {
		return Session{}, err
	}
	g.Profile = profile
	if err := workgroup.CheckTags(in.Tags); err != nil {
		return Session{}, err
	}
	if m.cfg.Resources != nil {
		if err := m.cfg.Resources.CheckSession(ctx, who.Account, in.Connections, in.Security); err != nil {
			return Session{}, err
		}
	}
	s, _, err := m.create(ctx, func(key string) Creation { return m.glueCreation(key, who, in, g, effect) })
	switch {
	case errors.Is(err, ErrTaken):
		return Session{}, fault.New(fault.Exists, "Session already exists.").About(in.ID)
	case errors.Is(err, ErrTooMany):
		return Session{}, fault.New(fault.TooMany, "Maximum allowed sessions reached")
	case isRefusal(err):
		return Session{}, err
	case err != nil:
		return Session{}, internal("create session", err)
	}
	m.cfg.Log.InfoContext(ctx, "session created", "session", s.ID, "key", string(s.Key), "face", string(s.Face), "owner", s.Owner)
	m.begin(s.Key, nil)
	return s, nil
}

// config checks a request and fills in Glue's defaults.
func (in *GlueRequest) config(timeout, idle time.Duration) (*GlueConfig, argument.Effect, error) {
	g := &GlueConfig{
		Kind: in.Kind, Command: in.Command, PythonVersion: in.PythonVersion, GlueVersion: in.GlueVersion,
		Arguments: in.Arguments, Connections: in.Connections, HasConnections: in.HasConnections,
		Security: in.Security, Origin: in.Origin, Timeout: timeout, Idle: idle,
	}
	if g.Kind == "" {
		g.Kind = Livy
	}
	if err := g.command(); err != nil {
		return nil, argument.Effect{}, err
	}
	if err := g.version(); err != nil {
		return nil, argument.Effect{}, err
	}
	if err := g.capacity(in.MaxCapacity, in.WorkerType, in.Workers); err != nil {
		return nil, argument.Effect{}, err
	}
	for _, given := range []struct {
		name    string
		minutes *int32
	}{{"Timeout", in.Timeout}, {"Idle Timeout", in.IdleTimeout}} {
		if n := given.minutes; n != nil && (*n < 1 || *n > mostMinutes) {
			return nil, argument.Effect{}, fault.Invalidf("%s %d is not valid: it is at least 1 minute, and at most %d.", given.name, *n, mostMinutes)
		}
	}
	if in.Timeout != nil {
		g.Timeout = time.Duration(*in.Timeout) * time.Minute
	}
	switch {
	case in.IdleTimeout != nil:
		g.Idle = time.Duration(*in.IdleTimeout) * time.Minute
	case g.Idle == 0 || g.Idle > g.Timeout:
		g.Idle = g.Timeout
	}
	effect, err := argument.Parse(in.Arguments)
	if err != nil {
		return nil, argument.Effect{}, err
	}
	if effect.Language == engine.Scala && g.Kind == SparkConnect {
		return nil, argument.Effect{}, fault.Invalidf("A session of type %s has no session language: it is driven by its client.", SparkConnect)
	}
	return g, effect, nil
}

func (g *GlueConfig) command() error {
	switch g.Command {
	case commandETL, commandStreaming:
	case commandRay:
		return fault.Invalidf("Account not allowed to submit Glue Ray session")
	default:
		return fault.Invalidf("Command name %s is not valid: the valid ones are %s and %s.", g.Command, commandETL, commandStreaming)
	}
	if g.PythonVersion == "2" {
		return fault.Invalidf("Python version 2 is not supported: use 3.")
	}
	return nil
}

func (g *GlueConfig) version() error {
	switch {
	case g.GlueVersion == "" || g.GlueVersion == autoVersion:
		g.GlueVersion = nativeVersion
	case g.GlueVersion == "6.0":
		return fault.Invalidf("Glue version 6.0 is not supported: it needs Spark 4, and the runtime that is installed has Spark 3.5. Use Glue version 5.1.")
	case !slices.Contains(glueVersions, g.GlueVersion):
		return fault.Invalidf("Glue version %s is not supported: the supported ones are %s.", g.GlueVersion, strings.Join(glueVersions, ", "))
	}
	if g.Kind == SparkConnect && g.GlueVersion < connectSince {
		return fault.Invalidf("Sessions of type %s need Glue version %s or later.", SparkConnect, connectSince)
	}
	return nil
}

// glueCreation is the row of a new session: admitted, and about to be launched.
func (m *Manager) glueCreation(key string, who access.Caller, in GlueRequest, g *GlueConfig, effect argument.Effect) Creation {
	now := time.Now().UTC()
	s := Session{
		Key:            Key(key),
		Account:        who.Account,
		Face:           Glue,
		ID:             in.ID,
		Engine:         workgroup.EngineSpark35,
		Owner:          who.ARN,
		OwnerID:        who.UserID,
		Description:    in.Description,
		Properties:     effect.Properties,
		Monitoring:     glueMonitoring(effect),
		ExecutionRole:  in.Role,
		IdleTimeout:    g.Idle,
		Desired:        Idle,
		State:          Launching,
		Created:        now,
		Changed:        now,
		DPUs:           driverDPUs,
		Glue:           g,
		RuntimeVersion: m.cfg.RuntimeVersion,
		ServerID:       m.cfg.ServerID,
		Epoch:          m.cfg.Epoch,
	}
	if m.cfg.ResultLocation != "" {
		s.WorkingDir = m.cfg.ResultLocation + "/glue/" + key
	}
	return Creation{Session: s, ARN: m.cfg.Home.GlueSession(in.ID), Tags: in.Tags, MaxLive: m.cfg.MaxSessions}
}

// glueMonitoring is where a session's logs go: to CloudWatch always, where
// Glue's clients look for them, and the event log to where it was asked for.
func glueMonitoring(effect argument.Effect) *workgroup.Monitoring {
	m := &workgroup.Monitoring{
		Managed:    &workgroup.ManagedLogging{},
		CloudWatch: &workgroup.CloudWatchLogging{Enabled: true},
	}
	if effect.EventLogs != "" {
		location := effect.EventLogs
		m.S3 = &workgroup.S3Logging{Enabled: true, LogLocation: &location}
	}
	return m
}

// glueSpec adds to what every driver is launched with what a Glue session's
// arguments ask for.
func (m *Manager) glueSpec(s *Session, spec *engine.Spec) error {
	effect, err := argument.Parse(s.Glue.Arguments)
	if err != nil {
		return err
	}
	spec.Display = engine.Plain
	spec.Language = effect.Language
	spec.Args, spec.Env = effect.Args, effect.Env
	spec.Formats, spec.Modules, spec.Files = effect.Formats, effect.Modules, effect.Files
	spec.Notes = effect.Notes
	if v := s.Glue.GlueVersion; v != nativeVersion {
		spec.Notes = append([]string{"This session asked for Glue version " + v + ". It runs on the runtime of version " + nativeVersion +
			": Spark 3.5.6, Python 3.11, Scala 2.12 and Java 17."}, spec.Notes...)
	}
	// Tables of the session's own catalog, which ends with it, lie apart from those of others.
	if s.WorkingDir != "" {
		spec.Warehouse = s.WorkingDir + "/warehouse"
	}
	return nil
}

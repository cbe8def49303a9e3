package session

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"glaux/internal/access"
	"glaux/internal/fault"
	"glaux/internal/workgroup"
)

// onlyNotebook is the one notebook version there is.
const onlyNotebook = "Athena notebook version 1"

// notebookID is the key of AdditionalConfigs that names the notebook.
const notebookID = "NotebookId"

// reservedPrefix starts the Spark properties that belong to the service.
const reservedPrefix = "spark.athena."

// driverDPUs is the size of a coordinator; there is no other.
const driverDPUs = 1

// Request asks for a session. Ranges and lengths of its members were checked
// before; pointers tell "absent" from the zero value.
type Request struct {
	Workgroup       string
	Description     string
	Config          workgroup.EngineConfig
	NotebookVersion string
	IdleMinutes     *int32
	ExecutionRole   string
	Monitoring      *workgroup.Monitoring
	Tags            []workgroup.Tag
	CopyTags        *bool  // copy the workgroup's tags; absent means yes
	Token           string `json:"-"` // idempotency token; empty: none
}

// Start makes a session and returns it as CREATING; the driver comes up by
// itself. The same token with the same request returns the session it made
// before, whatever has become of it. Refusals are faults and create nothing.
func (m *Manager) Start(ctx context.Context, who access.Caller, in Request) (Session, error) {
	if err := m.cfg.Access.Decide(ctx, who, "athena:StartSession", m.cfg.Home.Workgroup(in.Workgroup)); err != nil {
		return Session{}, err
	}
	if err := m.enter(); err != nil {
		return Session{}, err
	}
	defer m.leave()
	w, err := m.cfg.Workgroups.Find(ctx, who.Account, in.Workgroup)
	if err != nil {
		return Session{}, err
	}
	if w.State == workgroup.Disabled {
		return Session{}, fault.Invalidf("WorkGroup %s is disabled.", w.Name)
	}
	if !w.Config.Spark() {
		return Session{}, fault.Invalidf("Workgroup EngineVersion is not Spark.")
	}
	if err := access.MayPass(ctx, m.cfg.Access, m.cfg.Home, who, in.ExecutionRole); err != nil {
		return Session{}, err
	}
	if err := in.check(w.Config.Effective()); err != nil {
		return Session{}, err
	}
	tags, err := m.tags(ctx, who, in)
	if err != nil {
		return Session{}, err
	}
	hash, err := hashOf(in)
	if err != nil {
		return Session{}, err
	}
	s, created, err := m.create(ctx, func(id string) Creation { return m.creation(id, who, in, w, tags, hash) })
	switch {
	case errors.Is(err, ErrTokenUsed):
		return Session{}, MismatchedToken()
	case errors.Is(err, ErrTooMany):
		return Session{}, fault.New(fault.TooMany, "Maximum allowed sessions reached")
	case errors.Is(err, ErrNotebookBusy):
		return Session{}, fault.New(fault.Exists, "Notebook %s has an active session already.", in.Config.AdditionalConfigs[notebookID])
	case errors.Is(err, workgroup.ErrNotFound):
		return Session{}, fault.Invalidf("WorkGroup is not found.")
	case isRefusal(err):
		return Session{}, err
	case err != nil:
		return Session{}, internal("create session", err)
	}
	if created {
		m.cfg.Log.InfoContext(ctx, "session created", "session", s.ID, "workgroup", s.Workgroup, "owner", s.Owner)
		m.begin(s.Key, nil)
	}
	return s, nil
}

// refused says whether the store has refused to make a session: then there is
// none for certain.
func refused(err error) bool {
	for _, why := range []error{ErrTokenUsed, ErrTaken, ErrTooMany, ErrNotebookBusy, workgroup.ErrNotFound} {
		if errors.Is(err, why) {
			return true
		}
	}
	return isRefusal(err)
}

// MismatchedToken refuses an idempotency token that came with other parameters
// before.
func MismatchedToken() error {
	e := fault.New(fault.Invalid, "Idempotent parameters do not match")
	e.Code = fault.CodeIdempotentMismatch
	return e
}

// check refuses what no session on the engine can be started with.
func (in *Request) check(engine string) error {
	if err := in.Config.Check(engine); err != nil {
		return err
	}
	if err := in.Monitoring.Check(); err != nil {
		return err
	}
	notebook := in.Config.AdditionalConfigs[notebookID]
	switch {
	case in.NotebookVersion == "" && notebook != "":
		return fault.Invalidf("NotebookVersion is required when NotebookId is provided.")
	case in.NotebookVersion != "" && in.NotebookVersion != onlyNotebook:
		return fault.Invalidf("NotebookVersion %s is not valid. The only valid value is %s.", in.NotebookVersion, onlyNotebook)
	case in.NotebookVersion != "" && notebook == "":
		return fault.Invalidf("NotebookId is required when NotebookVersion is provided.")
	}
	return nil
}

// tags are those of the request over those copied from the workgroup.
func (m *Manager) tags(ctx context.Context, who access.Caller, in Request) ([]workgroup.Tag, error) {
	if err := workgroup.CheckTags(in.Tags); err != nil {
		return nil, err
	}
	if in.CopyTags != nil && !*in.CopyTags {
		return in.Tags, nil
	}
	copied, err := m.cfg.Workgroups.WorkgroupTags(ctx, who.Account, in.Workgroup)
	if err != nil {
		return nil, err
	}
	all := workgroup.Merge(copied, in.Tags)
	return all, workgroup.CheckTags(all)
}

// hashOf is what tells one request from another under the same token.
func hashOf(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, internal("hash request", err)
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

// creation is the row of a new session: admitted, and about to be launched.
func (m *Manager) creation(id string, who access.Caller, in Request, w workgroup.Workgroup, tags []workgroup.Tag, hash []byte) Creation {
	config := mergeEngine(w.Config.Engine, in.Config)
	now := time.Now().UTC()
	s := Session{
		Key:             Key(id),
		Account:         who.Account,
		Face:            Athena,
		ID:              id,
		Workgroup:       w.Name,
		Engine:          w.Config.Effective(),
		Owner:           who.ARN,
		OwnerID:         who.UserID,
		Description:     in.Description,
		NotebookVersion: in.NotebookVersion,
		NotebookID:      in.Config.AdditionalConfigs[notebookID],
		Config:          config,
		Properties:      properties(w.Config.Engine, in.Config),
		Monitoring:      mergeMonitoring(w.Config.Monitoring, in.Monitoring),
		ExecutionRole:   in.ExecutionRole,
		WorkingDir:      m.cfg.ResultLocation,
		IdleTimeout:     m.cfg.IdleTimeout,
		Desired:         Idle,
		State:           Launching, // the budget is asked for in the transaction that writes this
		Created:         now,
		Changed:         now,
		DPUs:            driverDPUs,
		RuntimeVersion:  m.cfg.RuntimeVersion,
		ServerID:        m.cfg.ServerID,
		Epoch:           m.cfg.Epoch,
	}
	if s.ExecutionRole == "" {
		s.ExecutionRole = w.Config.ExecutionRole
	}
	if in.IdleMinutes != nil {
		s.IdleTimeout = time.Duration(*in.IdleMinutes) * time.Minute
	}
	if r := w.Config.Result; r != nil {
		if r.OutputLocation != "" {
			s.WorkingDir = r.OutputLocation
		}
		s.Encryption, s.KMSKey = r.EncryptionOption, r.KMSKey
	}
	if k := w.Config.ContentKMSKey; k != nil {
		s.KMSKey = *k
		s.Encryption = "SSE_KMS"
	}
	if s.WorkingDir != "" {
		s.WorkingDir += "/" + id // joined without normalising, as Athena does
	}
	return Creation{
		Session: s, ARN: m.cfg.Home.Session(w.Name, id), Tags: tags,
		Operation: "StartSession", Token: in.Token, Hash: hash,
		MaxLive: m.cfg.MaxSessions, NeedsWorkgroup: true,
	}
}

// mergeEngine is the workgroup's engine configuration with the session's over
// it, key by key.
func mergeEngine(def *workgroup.EngineConfig, own workgroup.EngineConfig) workgroup.EngineConfig {
	if def == nil {
		return own
	}
	merged := workgroup.EngineConfig{
		CoordinatorDPUs:   first(own.CoordinatorDPUs, def.CoordinatorDPUs),
		MaxConcurrentDPUs: first(own.MaxConcurrentDPUs, def.MaxConcurrentDPUs),
		ExecutorDPUs:      first(own.ExecutorDPUs, def.ExecutorDPUs),
		AdditionalConfigs: over(def.AdditionalConfigs, own.AdditionalConfigs),
		SparkProperties:   over(def.SparkProperties, own.SparkProperties),
	}
	for _, c := range slices.Concat(def.Classifications, own.Classifications) {
		at := slices.IndexFunc(merged.Classifications, func(have workgroup.Classification) bool { return have.Name == c.Name })
		if at < 0 {
			merged.Classifications = append(merged.Classifications, c)
			continue
		}
		merged.Classifications[at].Properties = over(merged.Classifications[at].Properties, c.Properties)
	}
	return merged
}

// mergeMonitoring is the workgroup's monitoring with the session's over it,
// destination by destination, in the form it reads back in: one that the
// session turns off is off, and gone like a workgroup's.
func mergeMonitoring(def, own *workgroup.Monitoring) *workgroup.Monitoring {
	switch {
	case own == nil:
		return def
	case def == nil:
		def = &workgroup.Monitoring{}
	}
	merged := &workgroup.Monitoring{
		CloudWatch: first(own.CloudWatch, def.CloudWatch),
		Managed:    first(own.Managed, def.Managed),
		S3:         first(own.S3, def.S3),
	}
	return merged.Effective()
}

// properties are the Spark properties of a session: the workgroup's with the
// session's over them, whichever member each side wrote them in.
func properties(def *workgroup.EngineConfig, own workgroup.EngineConfig) map[string]string {
	if def == nil {
		return sparkProperties(own)
	}
	return over(sparkProperties(*def), sparkProperties(own))
}

// sparkProperties are the properties of one side that count: keys that start with
// "spark.", of SparkProperties and of the classification spark-defaults, which
// wins.
func sparkProperties(c workgroup.EngineConfig) map[string]string {
	all := maps.Clone(c.SparkProperties)
	for _, cl := range c.Classifications {
		if cl.Name == workgroup.SparkDefaults {
			all = over(all, cl.Properties)
		}
	}
	maps.DeleteFunc(all, func(k, _ string) bool { return !strings.HasPrefix(k, "spark.") })
	return all
}

// reserved says why a session with these properties fails to start; empty: it
// does not.
func reserved(properties map[string]string) string {
	for _, k := range slices.Sorted(maps.Keys(properties)) {
		if strings.HasPrefix(k, reservedPrefix) {
			return "The session could not be started: the Spark property " + k + " is reserved for the service."
		}
	}
	return ""
}

// over is base with the keys of top, which win; base is not changed.
func over(base, top map[string]string) map[string]string {
	if len(base) == 0 {
		return maps.Clone(top)
	}
	merged := maps.Clone(base)
	maps.Copy(merged, top)
	return merged
}

func first[T any](own, def *T) *T {
	if own != nil {
		return own
	}
	return def
}

package store

import (
	"encoding/json"
	"fmt"
	"time"

	"glaux/internal/calc"
	"glaux/internal/engine"
	"glaux/internal/session"
	"glaux/internal/workgroup"
)

// micros is t as the store keeps it: microseconds since 1970. The zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// orNull is what a column gets that is NULL for the zero time.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// fromMicros undoes micros.
func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// workgroupDoc is what a workgroup's row holds beside its columns.
type workgroupDoc struct {
	Description string `json:",omitempty"`
	Config      workgroup.Config
}

// sessionDoc is what a session's row holds beside its columns. Times are
// microseconds, durations nanoseconds.
type sessionDoc struct {
	Engine          string                 `json:",omitempty"`
	Description     string                 `json:",omitempty"`
	NotebookVersion string                 `json:",omitempty"`
	Config          workgroup.EngineConfig `json:",omitzero"`
	Properties      map[string]string      `json:",omitempty"`
	Monitoring      *workgroup.Monitoring  `json:",omitempty"`
	Glue            *session.GlueConfig    `json:",omitempty"`
	ExecutionRole   string                 `json:",omitempty"`
	WorkingDir      string                 `json:",omitempty"`
	KMSKey          string                 `json:",omitempty"`
	Encryption      string                 `json:",omitempty"`
	IdleTimeout     time.Duration          `json:",omitempty"`
	Reason          string                 `json:",omitempty"`
	IdleSince       int64                  `json:",omitempty"`
	Executors       []executorDoc          `json:",omitempty"`
	DPUs            int                    `json:",omitempty"`
	Lived           time.Duration          `json:",omitempty"`
	Work            string                 `json:",omitempty"`
	Statements      int                    `json:",omitempty"`
	Open            int                    `json:",omitempty"`
	Operating       bool                   `json:",omitempty"`
	Spawned         int64                  `json:",omitempty"`
	Admitted        int64                  `json:",omitempty"`
}

// executorDoc is an engine.Executor with integer times.
type executorDoc struct {
	ID      string
	Host    string `json:",omitempty"`
	Cores   int    `json:",omitempty"`
	Added   int64  `json:",omitempty"`
	Removed int64  `json:",omitempty"`
	Reason  string `json:",omitempty"`
}

// calculationDoc is what a calculation's row holds beside its columns.
type calculationDoc struct {
	Workgroup   string        `json:",omitempty"`
	Description string        `json:",omitempty"`
	Reason      string        `json:",omitempty"`
	Run         time.Duration `json:",omitempty"`
	DPUMillis   int64         `json:",omitempty"`
	Progress    engine.Tasks  `json:",omitzero"`
	WorkingDir  string        `json:",omitempty"`
	StdoutURI   string        `json:",omitempty"`
	StderrURI   string        `json:",omitempty"`
	ResultURI   string        `json:",omitempty"`
	ResultType  string        `json:",omitempty"`
}

// scanner is a row of either a query or a single-row query.
type scanner interface{ Scan(...any) error }

// encode makes the JSON text of a document column.
func encode(what string, doc any) (string, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return "", fmt.Errorf("cannot encode %s: %w", what, err)
	}
	return string(b), nil
}

// decode reads a document column.
func decode(what string, text []byte, doc any) error {
	if err := json.Unmarshal(text, doc); err != nil {
		return fmt.Errorf("cannot decode %s: %w", what, err)
	}
	return nil
}

// workgroupColumns are what scanWorkgroup reads, in its order.
const workgroupColumns = "account, name, version, created, state, doc"

func scanWorkgroup(row scanner) (workgroup.Workgroup, error) {
	var w workgroup.Workgroup
	var created int64
	var text []byte
	if err := row.Scan(&w.Account, &w.Name, &w.Version, &created, &w.State, &text); err != nil {
		return w, err
	}
	var doc workgroupDoc
	if err := decode("workgroup", text, &doc); err != nil {
		return w, err
	}
	w.Created, w.Description, w.Config = fromMicros(created), doc.Description, doc.Config
	return w, nil
}

func encodeWorkgroup(w workgroup.Workgroup) (string, error) {
	return encode("workgroup", workgroupDoc{Description: w.Description, Config: w.Config})
}

// sessionColumns are what scanSession reads, in its order.
const sessionColumns = `key, account, face, id, workgroup, notebook, owner, owner_id, desired, state, cause,
	created, changed, ended, runtime_version, server_id, epoch, version, handle, deleted, doc`

func scanSession(row scanner) (session.Session, error) {
	var s session.Session
	var created, changed int64
	var ended *int64
	var text []byte
	err := row.Scan(&s.Key, &s.Account, &s.Face, &s.ID, &s.Workgroup, &s.NotebookID, &s.Owner, &s.OwnerID,
		&s.Desired, &s.State, &s.Cause, &created, &changed, &ended, &s.RuntimeVersion, &s.ServerID, &s.Epoch,
		&s.Version, &s.Handle, &s.Deleted, &text)
	if err != nil {
		return s, err
	}
	var doc sessionDoc
	if err := decode("session", text, &doc); err != nil {
		return s, err
	}
	s.Created, s.Changed = fromMicros(created), fromMicros(changed)
	if ended != nil {
		s.EndedAt = fromMicros(*ended)
	}
	s.Engine, s.Description, s.NotebookVersion = doc.Engine, doc.Description, doc.NotebookVersion
	s.Config, s.Properties, s.Monitoring, s.Glue = doc.Config, doc.Properties, doc.Monitoring, doc.Glue
	s.ExecutionRole, s.WorkingDir, s.KMSKey, s.Encryption = doc.ExecutionRole, doc.WorkingDir, doc.KMSKey, doc.Encryption
	s.IdleTimeout, s.Reason, s.IdleSince = doc.IdleTimeout, doc.Reason, fromMicros(doc.IdleSince)
	s.DPUs, s.Lived, s.Spawned, s.Admitted = doc.DPUs, doc.Lived, fromMicros(doc.Spawned), fromMicros(doc.Admitted)
	s.Work, s.Statements, s.Open, s.Operating = doc.Work, doc.Statements, doc.Open, doc.Operating
	for _, e := range doc.Executors {
		s.Executors = append(s.Executors, engine.Executor{ID: e.ID, Host: e.Host, Cores: e.Cores,
			Added: fromMicros(e.Added), Removed: fromMicros(e.Removed), Reason: e.Reason})
	}
	return s, nil
}

func encodeSession(s session.Session) (string, error) {
	doc := sessionDoc{
		Engine: s.Engine, Description: s.Description, NotebookVersion: s.NotebookVersion,
		Config: s.Config, Properties: s.Properties, Monitoring: s.Monitoring, Glue: s.Glue,
		ExecutionRole: s.ExecutionRole, WorkingDir: s.WorkingDir, KMSKey: s.KMSKey, Encryption: s.Encryption,
		IdleTimeout: s.IdleTimeout, Reason: s.Reason, IdleSince: micros(s.IdleSince), DPUs: s.DPUs, Lived: s.Lived,
		Work: s.Work, Statements: s.Statements, Open: s.Open, Operating: s.Operating, Spawned: micros(s.Spawned), Admitted: micros(s.Admitted),
	}
	for _, e := range s.Executors {
		doc.Executors = append(doc.Executors, executorDoc{ID: e.ID, Host: e.Host, Cores: e.Cores,
			Added: micros(e.Added), Removed: micros(e.Removed), Reason: e.Reason})
	}
	return encode("session", doc)
}

// calculationColumns are what scanCalculation reads, in its order; code comes
// first, so that a list can put ” in its place.
const calculationColumns = "id, session, account, state, submitted, completed, version, doc"

func scanCalculation(row scanner) (calc.Calculation, error) {
	var c calc.Calculation
	var submitted int64
	var completed *int64
	var text []byte
	if err := row.Scan(&c.Code, &c.ID, &c.Session, &c.Account, &c.State, &submitted, &completed, &c.Version, &text); err != nil {
		return c, err
	}
	var doc calculationDoc
	if err := decode("calculation", text, &doc); err != nil {
		return c, err
	}
	c.Submitted = fromMicros(submitted)
	if completed != nil {
		c.Completed = fromMicros(*completed)
	}
	c.Workgroup, c.Description, c.Reason = doc.Workgroup, doc.Description, doc.Reason
	c.Run, c.DPUMillis, c.Progress, c.WorkingDir = doc.Run, doc.DPUMillis, doc.Progress, doc.WorkingDir
	c.StdoutURI, c.StderrURI, c.ResultURI, c.ResultType = doc.StdoutURI, doc.StderrURI, doc.ResultURI, doc.ResultType
	return c, nil
}

func encodeCalculation(c calc.Calculation) (string, error) {
	return encode("calculation", calculationDoc{
		Workgroup: c.Workgroup, Description: c.Description, Reason: c.Reason, Run: c.Run, DPUMillis: c.DPUMillis,
		Progress: c.Progress, WorkingDir: c.WorkingDir, StdoutURI: c.StdoutURI, StderrURI: c.StderrURI,
		ResultURI: c.ResultURI, ResultType: c.ResultType,
	})
}

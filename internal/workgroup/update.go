package workgroup

import "glaux/internal/fault"

// Update is a request to change a workgroup. Nil and empty members leave
// things as they are.
type Update struct {
	Description *string
	State       string
	Config      *ConfigUpdate
}

// ConfigUpdate is ConfigurationUpdates: what is given replaces what was there,
// and a Remove flag wins over a value given beside it.
type ConfigUpdate struct {
	Result                   *ResultUpdate
	ManagedResults           *ManagedResultsUpdate
	Enforce                  *bool
	PublishMetrics           *bool
	BytesScannedCutoff       *int64
	RemoveBytesScannedCutoff bool
	RequesterPays            *bool
	SelectedEngine           string
	AdditionalConfig         *string
	ExecutionRole            string
	Monitoring               *Monitoring   // replaces all of it
	Engine                   *EngineConfig // replaces all of it
	ContentKMSKey            *string
	RemoveContentKMSKey      bool
	MinimumEncryption        *bool
	ResultsAccessGrants      *ResultsAccessGrants
}

// ResultUpdate is ResultConfigurationUpdates.
type ResultUpdate struct {
	OutputLocation            *string
	RemoveOutputLocation      bool
	EncryptionOption          *string // with KMSKey: one unit
	KMSKey                    string
	RemoveEncryption          bool
	ExpectedBucketOwner       *string
	RemoveExpectedBucketOwner bool
	ACL                       *string
	RemoveACL                 bool
}

// ManagedResultsUpdate is ManagedQueryResultsConfigurationUpdates.
type ManagedResultsUpdate struct {
	Enabled      *bool
	KMSKey       *string
	RemoveKMSKey bool
}

// apply edits w, or refuses. It changes nothing that w shares with others.
func (u Update) apply(w *Workgroup) error {
	if u.Description != nil {
		w.Description = *u.Description
	}
	if u.State != "" {
		w.State = u.State
	}
	if u.Config == nil {
		return nil
	}
	old := w.Config
	u.Config.apply(&w.Config)
	w.Config.normalize()
	if err := checkEngine(w.Config.SelectedEngine); err != nil {
		return err
	}
	if from, to := old.Effective(), w.Config.Effective(); from != to {
		if old.Spark() != w.Config.Spark() {
			return fault.Invalidf("The analytics engine of a WorkGroup cannot be changed between Athena SQL and Apache Spark.")
		}
		return fault.Invalidf("The engine version of a WorkGroup cannot be changed from %s to %s.", from, to)
	}
	return w.Config.check()
}

func (u *ConfigUpdate) apply(c *Config) {
	if u.Result != nil {
		c.Result = u.Result.apply(c.Result)
	}
	if u.ManagedResults != nil {
		c.ManagedResults = u.ManagedResults.apply(c.ManagedResults)
	}
	set(&c.Enforce, u.Enforce)
	set(&c.PublishMetrics, u.PublishMetrics)
	set(&c.RequesterPays, u.RequesterPays)
	set(&c.MinimumEncryption, u.MinimumEncryption)
	set(&c.AdditionalConfig, u.AdditionalConfig)
	set(&c.Monitoring, u.Monitoring)
	set(&c.Engine, u.Engine)
	set(&c.ResultsAccessGrants, u.ResultsAccessGrants)
	set(&c.BytesScannedCutoff, u.BytesScannedCutoff)
	if u.RemoveBytesScannedCutoff {
		c.BytesScannedCutoff = nil
	}
	set(&c.ContentKMSKey, u.ContentKMSKey)
	if u.RemoveContentKMSKey {
		c.ContentKMSKey = nil
	}
	if u.SelectedEngine != "" {
		c.SelectedEngine = u.SelectedEngine
	}
	if u.ExecutionRole != "" {
		c.ExecutionRole = u.ExecutionRole
	}
}

func (u *ResultUpdate) apply(old *ResultConfig) *ResultConfig {
	var r ResultConfig
	if old != nil {
		r = *old
	}
	change(&r.OutputLocation, u.OutputLocation, u.RemoveOutputLocation)
	change(&r.ExpectedBucketOwner, u.ExpectedBucketOwner, u.RemoveExpectedBucketOwner)
	change(&r.ACL, u.ACL, u.RemoveACL)
	if u.EncryptionOption != nil {
		r.KMSKey = u.KMSKey
	}
	if u.RemoveEncryption {
		r.KMSKey = ""
	}
	change(&r.EncryptionOption, u.EncryptionOption, u.RemoveEncryption)
	return &r
}

func (u *ManagedResultsUpdate) apply(old *ManagedResults) *ManagedResults {
	var r ManagedResults
	if old != nil {
		r = *old
	}
	if u.Enabled != nil {
		r.Enabled = *u.Enabled
	}
	set(&r.KMSKey, u.KMSKey)
	if u.RemoveKMSKey {
		r.KMSKey = nil
	}
	return &r
}

// set replaces what to points at when there is a new value.
func set[T any](to **T, v *T) {
	if v != nil {
		*to = v
	}
}

// change replaces or empties a text.
func change(to *string, v *string, remove bool) {
	if v != nil {
		*to = *v
	}
	if remove {
		*to = ""
	}
}

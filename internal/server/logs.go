package server

import (
	"path/filepath"

	"glaux/internal/logs"
	"glaux/internal/logs/cloudwatch"
)

// wireLogs opens the store of logs, which managed logging and the API use, and
// the place that sessions' CloudWatch logging leads to: the same store, or
// another CloudWatch Logs that the configuration names.
func (p *parts) wireLogs() (err error) {
	s := p.s
	p.logs, err = logs.Open(logs.Config{Dir: s.place.logs(), ManagedDays: s.cfg.Logs.RetentionDays, MaxBytes: s.cfg.Logs.MaxBytes, Log: s.log})
	if err != nil {
		return err
	}
	p.cloudWatch = p.logs
	if s.cfg.Logs.Endpoint == "" {
		return nil
	}
	c, err := cloudwatch.Open(cloudwatch.Config{
		Endpoint: s.cfg.Logs.Endpoint, Region: s.cfg.Logs.Region, AccessKey: s.cfg.Logs.AccessKey, SecretKey: s.cfg.Logs.SecretKey,
		Dir: filepath.Join(s.place.data, "log-marks"), Log: s.log,
	})
	if err != nil {
		return err
	}
	p.cloudWatch = c
	return nil
}

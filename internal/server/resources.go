package server

import (
	"cmp"
	"context"
	"time"

	"glaux/internal/access"
	"glaux/internal/resource"
	"glaux/internal/session"
)

// wireResources makes the manager of what Glue sessions refer to.
func (p *parts) wireResources() {
	p.resources = resource.New(resource.Config{
		Home: p.home, Store: p.db, Access: p.authority, Vault: p.authority,
		Profile: p.s.cfg.Glue.UsageProfile, Profiles: p.s.cfg.profiles(p.home.Role, p.home.User),
	})
}

// profiles are the usage profiles of the configuration's roles and users, by ARN.
func (c *Config) profiles(role, user func(name string) string) map[string]string {
	all := map[string]string{}
	for _, r := range c.Roles {
		if r.UsageProfile != "" {
			all[role(r.Name)] = r.UsageProfile
		}
	}
	for _, u := range c.Users {
		if u.UsageProfile != "" {
			all[user(u.Name)] = u.UsageProfile
		}
	}
	return all
}

// glueResources is what sessions ask of resources.
type glueResources struct {
	*resource.Manager
	glue Glue
}

// ApplyProfile measures a session that is asked for by its caller's usage profile.
func (r glueResources) ApplyProfile(ctx context.Context, who access.Caller, in *session.GlueRequest) (string, error) {
	limited := resource.Request{
		Workers: in.Workers, WorkerType: in.WorkerType, Timeout: in.Timeout, Idle: in.IdleTimeout,
		HasCapacity: in.MaxCapacity != nil && in.Workers == nil && in.WorkerType == "",
		Service: resource.Defaults{
			Workers: session.DefaultWorkers, WorkerType: session.DefaultWorkerType,
			Timeout: int32(r.glue.Timeout / time.Minute),
			Idle:    int32(cmp.Or(r.glue.IdleTimeout, r.glue.Timeout) / time.Minute),
		},
	}
	both := in.MaxCapacity != nil && !limited.HasCapacity // refused anyway, in Glue's words
	name, err := r.Apply(ctx, who, &limited)
	if err != nil || both {
		return name, err
	}
	in.Workers, in.WorkerType, in.Timeout, in.IdleTimeout = limited.Workers, limited.WorkerType, limited.Timeout, limited.Idle
	return name, nil
}

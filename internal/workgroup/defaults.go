package workgroup

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Defaults returns the workgroups of a new installation: primary for SQL as
// AWS has it, and one for each Spark engine. location is an s3:// location
// without a trailing slash, below which each gets a result location of its
// own; role is the ARN that Spark sessions run as.
func Defaults(account, location, role string) []Workgroup {
	one := func(name, engine, role string) Workgroup {
		return Workgroup{Account: account, Name: name, State: Enabled, Created: time.Now(), Config: Config{
			Result: &ResultConfig{OutputLocation: location + "/" + name}, SelectedEngine: engine, ExecutionRole: role,
		}}
	}
	return []Workgroup{
		one("spark", EnginePySpark, role),
		one("spark35", EngineSpark35, role),
		one(Primary, EngineAuto, ""), // last: with it, the first start is done
	}
}

// CreateDefaults writes the workgroups on the first start, and does nothing on
// any later one, so that what a person deleted stays deleted. primary, which
// nobody can delete, is the sign that the first start was finished.
func CreateDefaults(ctx context.Context, store Store, defaults []Workgroup) error {
	for _, w := range defaults {
		if w.Name != Primary {
			continue
		}
		if _, err := store.Workgroup(ctx, w.Account, Primary); err == nil {
			return nil
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	for _, w := range defaults {
		if err := w.Config.check(); err != nil {
			return fmt.Errorf("cannot create workgroup %q: %w", w.Name, err)
		}
		if err := store.CreateWorkgroup(ctx, w, nil, 0); err != nil && !errors.Is(err, ErrExists) {
			return fmt.Errorf("cannot create workgroup %q: %w", w.Name, err)
		}
	}
	return nil
}

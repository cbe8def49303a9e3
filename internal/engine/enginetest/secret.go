package enginetest

import (
	"glaux/internal/engine"
)

// keepsSecrets checks that every driver has a secret of its own for each of
// its services, known to every server that owns it.
func keepsSecrets(b *bench) {
	one, two := b.launch(b.spec()), b.launch(b.spec())
	of := func(d engine.Driver, s engine.Service) string {
		b.Helper()
		k, ok := d.(engine.Keeper)
		if !ok {
			b.Fatalf("driver %T keeps no secrets", d)
		}
		secret, err := k.Secret(b.ctx, s)
		b.check(err, "Secret of "+string(s))
		if len(secret) < 32 {
			b.Errorf("the secret of %s has %d characters", s, len(secret))
		}
		return secret
	}
	_, again := b.restart(one, 2)
	seen := map[string]bool{}
	for _, s := range []engine.Service{engine.Connect, engine.UI} {
		first := of(one, s)
		seen[first], seen[of(two, s)] = true, true
		if of(again, s) != first {
			b.Errorf("the secret of %s changed with the server", s)
		}
	}
	if len(seen) != 4 {
		b.Errorf("two drivers with two services have %d secrets", len(seen))
	}
	_, err := again.(engine.Keeper).Secret(b.ctx, "nonsense")
	b.wantErr(err, engine.ErrNoSecret, "Secret of a service that is not there")
	b.check(again.Stop(b.ctx), "Stop")
	b.check(again.Remove(b.ctx), "Remove")
	_, err = again.(engine.Keeper).Secret(b.ctx, engine.Connect)
	b.wantErr(err, engine.ErrGone, "Secret of a removed driver")
}

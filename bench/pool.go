package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// metrics reads the samples of the server's /metrics by name with labels.
func (s *server) metrics(ctx context.Context) (map[string]float64, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "ready"))
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(text), "metrics=")
	address, _, _ := strings.Cut(rest, "\n")
	if address == "" {
		return nil, errors.New("the ready file names no address of metrics")
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/metrics")+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New("/metrics says " + resp.Status)
	}
	found := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = v
		}
	}
	return found, lines.Err()
}

// launches says what the sessions so far found in the pool.
func (s *server) launches(ctx context.Context) (warm, primed, cold float64, err error) {
	m, err := s.metrics(ctx)
	of := func(tier string) float64 { return m[`glaux_pool_launches_total{tier="`+tier+`"}`] }
	return of("warm"), of("primed"), of("cold"), err
}

// awaitPool waits until as many drivers wait as are wanted, at least these,
// and none is being launched: the machine is quiet then.
func (s *server) awaitPool(ctx context.Context, least int) error {
	const patience = 15 * time.Minute // drivers of the pool start behind everything else
	for began := time.Now(); ; {
		m, err := s.metrics(ctx)
		if err != nil {
			return err
		}
		ready, launching, wanted := m[`glaux_pool_drivers{state="ready"}`], m[`glaux_pool_drivers{state="launching"}`], m["glaux_pool_wanted"]
		if ready >= max(wanted, float64(least)) && launching == 0 {
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("the pool has %v of %v drivers and %v on the way after %s", ready, wanted, launching, patience)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

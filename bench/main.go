// Command bench measures Glaux against named peers on this machine and prints
// one table: both sides of every row come from the same run. It asserts
// nothing; the targets it prints are ratios to look at.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"glaux/internal/install"
)

// options say where the programs under measurement are.
type options struct {
	glaux   string        // the server binary
	runtime string        // an installed Spark runtime
	python  string        // the Python of that runtime
	moto    string        // moto_server; empty leaves its rows out
	runs    int           // repetitions of the slow rows
	load    time.Duration // how long each load row runs
	burst   int           // sessions that are started at once
	dense   int           // sessions that live at once
	only    string        // run only the rows whose group contains this text
}

// row is one line of the table.
type row struct {
	what, ours, peer, ratio, target string
}

func main() {
	var o options
	flag.StringVar(&o.glaux, "glaux", "bin/glaux", "server binary")
	flag.StringVar(&o.runtime, "runtime", "", "directory of the installed Spark runtime")
	flag.StringVar(&o.moto, "moto", "", "moto_server to compare request rates with")
	flag.IntVar(&o.runs, "runs", 5, "repetitions of starts")
	flag.DurationVar(&o.load, "load", 5*time.Second, "duration of each load row")
	flag.IntVar(&o.burst, "burst", 50, "sessions that are started at once")
	flag.IntVar(&o.dense, "dense", 60, "idle sessions that live at once")
	flag.StringVar(&o.only, "only", "", "measure only this group: start, cold, warm, tier2, burst, idle, steady, steady4g, neighbour, calculation, statement, requests, logs, connect")
	flag.Parse()
	installed, err := install.Load(o.runtime)
	if err != nil {
		log.Fatal(err)
	}
	o.python = installed.Python
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run measures every group and prints the table to w, or what there is of it
// when a group fails.
func run(ctx context.Context, o options, w io.Writer) error {
	groups := []struct {
		name    string
		measure func(context.Context, options) ([]row, error)
	}{
		{"start", measureStart},
		{"cold", fresh(measureCold)},
		{"warm", fresh(measureWarm, "--pool-max", "4", "--pool-min", "1")},
		{"tier2", fresh(measurePrimed, "--pool-max", "4", "--pool-min", "1")},
		{"burst", fresh(measureBurst, "--pool-max", strconv.Itoa(pooled), "--pool-min", strconv.Itoa(pooled))},
		{"idle", fresh(measureIdle)},
		{"steady", fresh(measureSteady(1024), "--dpu-heap", "1024")},
		{"steady4g", fresh(measureSteady(4096), "--dpu-heap", "4096", "--dpu-memory", "6144")},
		{"neighbour", fresh(measureNeighbour)},
		{"calculation", fresh(measureCalculation)},
		{"statement", fresh(measureStatement)},
		{"requests", fresh(measureRequests)},
		{"logs", fresh(measureLogs)},
		{"connect", fresh(measureConnect, "--dpu-heap", "6144", "--dpu-memory", "8192")}, // a driver holds the results that its client has not read yet
	}
	var rows []row
	var failed error
	for _, g := range groups {
		if !strings.Contains(g.name, o.only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s …\n", g.name)
		got, err := g.measure(ctx, o)
		rows = append(rows, got...)
		if err != nil {
			failed = fmt.Errorf("cannot measure %s: %w", g.name, err)
			break
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tglaux\tpeer\tratio\ttarget")
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join([]string{r.what, r.ours, r.peer, r.ratio, r.target}, "\t"))
	}
	return errors.Join(failed, t.Flush())
}

// median returns the middle of the durations; it sorts them.
func median(d []time.Duration) time.Duration { return quantile(d, 0.5) }

// quantile returns the q-th quantile of the durations; it sorts them.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

// ms formats a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// seconds formats a duration in seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

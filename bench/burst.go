package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"
	"golang.org/x/sync/errgroup"
)

// pooled is how many drivers wait when a burst of sessions comes.
const pooled = 10

// asked is one session of a burst.
type asked struct {
	answered time.Duration // StartSession
	began    time.Time     // as the server says
	idle     time.Time
}

// measureBurst starts more sessions at once than the pool has drivers, and
// waits until all were idle and the pool has its size again.
func measureBurst(ctx context.Context, s *server) ([]row, error) {
	if err := s.awaitPool(ctx, pooled); err != nil {
		return nil, err
	}
	c, burst := s.athena(), max(s.o.burst, pooled)
	all, ids := make([]asked, burst), make([]string, burst)
	var starts errgroup.Group
	for i := range all {
		starts.Go(func() error {
			began := time.Now()
			out, err := c.StartSession(ctx, &athena.StartSessionInput{WorkGroup: aws.String("spark"), EngineConfiguration: &types.EngineConfiguration{MaxConcurrentDpus: aws.Int32(2)}})
			if err != nil {
				return err
			}
			all[i].answered, ids[i] = time.Since(began), *out.SessionId
			st, err := awaitIdle(ctx, c, ids[i], 200*time.Millisecond)
			if err != nil {
				return fmt.Errorf("session %s of %d at once: %w", ids[i], burst, err)
			}
			all[i].began, all[i].idle = *st.StartDateTime, *st.IdleSinceDateTime
			return nil
		})
	}
	if err := starts.Wait(); err != nil {
		return nil, err
	}
	for _, id := range ids { // none was lost: each computes
		if _, err := calculate(ctx, c, id, "1+1", 5*time.Millisecond); err != nil {
			return nil, fmt.Errorf("session %s does not answer: %w", id, err)
		}
	}
	warm, primed, cold, err := s.launches(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b asked) int { return a.began.Compare(b.began) })
	var answered, waits []time.Duration
	for _, a := range all {
		answered, waits = append(answered, a.answered), append(waits, a.idle.Sub(a.began))
	}
	late := overtaken(all)
	began := time.Now()
	for _, id := range ids {
		if err := terminate(ctx, c, id); err != nil {
			return nil, err
		}
	}
	if err := s.awaitPool(ctx, pooled); err != nil {
		return nil, err
	}
	back := time.Since(began)
	slices.Sort(waits)
	return []row{
		{fmt.Sprintf("%d StartSession at once, pool of %d: answered", burst, pooled), spread(answered), "", "", ""},
		{"the same → IDLE", fmt.Sprintf("the first %d in %s, half in %s, all in %s", pooled, ms(waits[pooled-1]), seconds(waits[(burst-1)/2]), seconds(waits[burst-1])), "", "", "none lost"},
		{"the same, what they found", fmt.Sprintf("%.0f warm, %.0f primed, %.0f cold", warm, primed, cold), "", "", fmt.Sprintf("%d warm", pooled)},
		{"the same, most places that one fell behind", fmt.Sprint(late), "", "", "order fair"},
		{"the pool has its size again after all have ended", seconds(back), "", "", ""},
	}, nil
}

// overtaken says how many places one of the sessions, which are in the order
// they began in, fell behind at most until it was idle.
func overtaken(all []asked) (most int) {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return all[a].idle.Compare(all[b].idle) })
	for place, i := range order {
		most = max(most, place-i)
	}
	return most
}

package main

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// partlyDead is a location some of whose hosts are dead, which shows after a
// while, and the others answer after a round trip.
type partlyDead struct {
	gate      *scan.Limiter
	dead      func(host string) bool
	after     time.Duration // until a dead one is found to be dead
	roundTrip time.Duration
}

func (p partlyDead) Examine(ctx context.Context, w inventory.Work) iter.Seq[inventory.Observation] {
	return func(yield func(inventory.Observation) bool) {
		o := inventory.Observation{Target: w.Target.Key(), Address: w.Target.Host, Location: inventory.LocalLocation, Offer: inventory.OfferDefault}
		leave, _, err := p.gate.Enter(ctx, netip.AddrPortFrom(netip.MustParseAddr(w.Target.Host), 443))
		if err != nil {
			return
		}
		if p.dead(w.Target.Host) {
			time.Sleep(p.after)
			o.Reach.Status = inventory.ReachTimeout
		} else {
			time.Sleep(p.roundTrip)
			o.Reach.Status, o.Chain = inventory.ReachOK, [][]byte{[]byte("leaf")}
		}
		leave(o)
		yield(o)
	}
}

// reachJudge finds what is not reached.
type reachJudge struct{}

func (reachJudge) Judge(f inventory.Facts, _ inventory.EvidenceSet, _ time.Time) (j inventory.Judgement, _ []inventory.Need) {
	if len(f.Observation.Chain) == 0 {
		j.Findings = []inventory.Finding{{Code: inventory.CodeUnreachable}}
	}
	return j, nil
}

func (reachJudge) JudgeTarget(inventory.Target, []inventory.Endpoint, time.Time) (j inventory.TargetJudgement) {
	return j
}

// What failed the last time comes early, and is not mistaken for a network that
// is down for that.
func TestDeadTargetsAreToldWhereverTheyStand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dead, well       int
		after, roundTrip time.Duration
		want             int // findings
	}{
		{400, 200, 10 * time.Second, 20 * time.Millisecond, 400},
		{400, 200, 0, 200 * time.Millisecond, 400},
		{400, 16, 10 * time.Second, 20 * time.Millisecond, 400},
		{20, 1000, 10 * time.Second, 20 * time.Millisecond, 20},
		{400, 0, 10 * time.Second, 0, 0},
	} {
		t.Run(fmt.Sprintf("%d dead after %v, %d well", tt.dead, tt.after, tt.well), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var targets []inventory.Target
				failed, dead := make(map[string]bool), make(map[string]bool)
				for i := range tt.dead + tt.well {
					target := inventory.Target{Host: fmt.Sprintf("192.0.%d.%d", i/250, i%250), Port: 443, Protocol: inventory.TLS}
					failed[target.Key()], dead[target.Host] = i < tt.dead, i < tt.dead
					targets = append(targets, target)
				}
				spread(targets, failed)
				if latest := 3 * tt.dead; len(targets) > latest {
					for i, target := range targets[latest:] {
						if failed[target.Key()] {
							t.Errorf("%s, which failed the last time, comes as number %d", target, latest+i)
						}
					}
				}
				own, limiter := scan.NewOwnSide(), scan.NewLimiter(scan.LimiterOptions{})
				e, err := scan.New(scan.Options{
					Location: partlyDead{limiter, func(host string) bool { return dead[host] }, tt.after, tt.roundTrip},
					Judge:    reachJudge{}, Admission: limiter, OwnSide: own,
					Work: func(t inventory.Target) inventory.Work { return inventory.Work{Target: t} },
				})
				if err != nil {
					t.Fatal(err)
				}
				told := 0
				if err := e.Run(t.Context(), all(targets), func(r inventory.Result) error {
					told += len(r.Endpoints[0].Judgement.Findings)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if told != tt.want || (len(own.Faults()) == 0) != (tt.want > 0) {
					t.Errorf("told of %d, and %v of our own side; want %d", told, own.Faults(), tt.want)
				}
			})
		})
	}
}

package scan_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// insatiable needs two more things whatever it has.
type insatiable struct{ literal }

func (insatiable) Judge(_ inventory.Facts, ev inventory.EvidenceSet, _ time.Time) (inventory.Judgement, []inventory.Need) {
	need := func(i int) inventory.Need {
		return inventory.Need{Kind: inventory.NeedIssuer, URL: strconv.Itoa(len(ev) + i)}
	}
	return inventory.Judgement{}, []inventory.Need{need(0), need(1)}
}

// pairs answers when it is asked for two things at once.
type pairs struct {
	mu    sync.Mutex
	first chan struct{} // under mu; nil: nobody waits
}

func (p *pairs) Get(ctx context.Context, n inventory.Need) inventory.Evidence {
	p.mu.Lock()
	if p.first == nil {
		first := make(chan struct{})
		p.first = first
		p.mu.Unlock()
		select {
		case <-first:
		case <-ctx.Done():
		}
		return inventory.Evidence{Need: n}
	}
	close(p.first)
	p.first = nil
	p.mu.Unlock()
	return inventory.Evidence{Need: n}
}

func (*pairs) Shared() inventory.EvidenceSet { return nil }

func TestJudgeWithGetsTogetherWhatIsNeededAndNotForEver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, got := scan.JudgeWith(ctx, insatiable{}, new(pairs), inventory.Facts{}, nil, time.Time{})
	if len(got) != 16 || ctx.Err() != nil {
		t.Errorf("%d things were got, %v; want two at once in each of eight rounds", len(got), ctx.Err())
	}
	if _, got := scan.JudgeWith(ctx, insatiable{}, nil, inventory.Facts{}, nil, time.Time{}); len(got) != 0 {
		t.Errorf("%d things were got from nobody", len(got))
	}
}

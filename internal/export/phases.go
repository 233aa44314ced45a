package export

import (
	"time"

	"example.com/certscan/internal/inventory"
)

// maxPhased is the largest fleet whose endpoints show how long the phases of
// their examination took: three series for each endpoint, whose values all
// change with each examination.
const maxPhased = 10_000

// phases are what the phases of an examination took, in microseconds, in the
// order of phaseNames; 0 is one that was not entered.
type phases [4]uint32

func phaseNames() [4]string { return [4]string{"resolve", "connect", "starttls", "handshake"} }

func phasesOf(t inventory.Timings) phases {
	var p phases
	for i, d := range [4]time.Duration{t.Resolve, t.Connect, t.STARTTLS, t.Handshake} {
		if d > 0 {
			p[i] = uint32(min(max(d.Microseconds(), 1), 1<<32-1))
		}
	}
	return p
}

// phased reports whether this fleet is small enough.
func (p *page) phased() bool { return len(p.targets) <= maxPhased }

// phases writes what the latest examination of each endpoint took.
func (p *page) phases() {
	if !p.phased() {
		return
	}
	p.begin(family{"certscan_endpoint_phase_seconds", gauge, "How long each phase of the endpoint's latest examination took: resolve, connect, starttls, handshake. Absent if it was not entered, and in fleets of more than 10,000 targets."})
	names := phaseNames()
	for _, t := range p.chosen {
		for i := range t.views {
			v := &t.views[i]
			if !v.primary {
				continue
			}
			for k, micros := range v.phases {
				if micros > 0 {
					p.head(v)
					p.w.WriteString(`",phase="`)
					p.w.WriteString(names[k])
					p.w.WriteString(`"}`)
					p.fraction(float64(micros)/1e6, 6)
				}
			}
		}
	}
}

// count is the number of phases that were entered.
func (p phases) count() (n int64) {
	for _, micros := range p {
		n += truth(micros > 0)
	}
	return n
}

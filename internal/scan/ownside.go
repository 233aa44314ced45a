package scan

import (
	"slices"
	"strings"

	"example.com/certscan/internal/inventory"
)

const (
	fewTargets = 3  // fewer unresolved names than this may just be unresolved names
	fewPeers   = 10 // fewer dead addresses may just be dead

	// While nothing answers, more results are held back: as many targets are begun
	// together, and what answers may come last of them.
	mostHeld = firstLimit + parked
)

// OwnSide tells the scanner's own troubles from those of the endpoints, so that
// one missing route is told once and not as 237 dead servers.
//
// It looks at the first results together, before any of them is recorded: if
// none of many names could be resolved, or none of many addresses reached, or
// most certificates of unrelated names are by one unknown issuer, the scanner's
// side is at fault, and the findings that come of it are taken off, until a
// result shows otherwise. What was not examined stays counted as that.
type OwnSide struct {
	held     []inventory.Result
	decided  bool
	resolver bool   // names do not resolve
	network  bool   // nothing is reached
	issuer   string // of the intercepting proxy

	faults []inventory.OwnFault
	missed map[string]bool // targets with no endpoint examined, for our fault
}

// NewOwnSide returns an OwnSide for one run.
func NewOwnSide() *OwnSide { return &OwnSide{missed: make(map[string]bool)} }

// Pass takes a result and returns those that may go on.
func (s *OwnSide) Pass(r inventory.Result) []inventory.Result {
	if s.decided {
		s.correct(&r)
		return []inventory.Result{r}
	}
	s.held = append(s.held, r)
	if len(s.held) < heldBack {
		return nil
	}
	if s.decide(); (s.network || s.resolver) && len(s.held) < mostHeld {
		s.decided = false // others may answer yet
		return nil
	}
	return s.Rest()
}

// Rest decides, if that has not happened yet, and returns what is held back.
func (s *OwnSide) Rest() []inventory.Result {
	if !s.decided {
		s.decide()
	}
	held := s.held
	s.held = nil
	for i := range held {
		s.correct(&held[i])
	}
	return held
}

// Faults returns what was found, each kind once.
func (s *OwnSide) Faults() []inventory.OwnFault { return s.faults }

// NotExamined is the number of targets of which nothing was examined, for a
// reason that is the scanner's own.
func (s *OwnSide) NotExamined() int { return len(s.missed) }

func (s *OwnSide) decide() {
	s.decided = true
	var names, unresolved int
	peers, network := make(map[string]bool), false
	var seen []sighting
	for _, r := range s.held {
		name := site(r.Target)
		for _, e := range r.Endpoints {
			o := e.Observation
			if o.Resolution != nil {
				names++
			}
			switch {
			case o.Reach.Status == inventory.ReachDNSTimeout:
				unresolved++
			case reached(&o):
				network = true
			case o.Address != "":
				peers[o.Address] = true
			}
			if len(o.Chain) > 0 && name != "" {
				issuer, _ := unknownIssuer(e)
				seen = append(seen, sighting{site: name, issuer: issuer})
			}
		}
	}
	s.resolver = names >= fewTargets && unresolved == names
	s.network = !network && len(peers) >= fewPeers
	s.issuer = interceptor(seen)
}

// correct takes off r what is the scanner's own fault, and counts it.
func (s *OwnSide) correct(r *inventory.Result) {
	examined := false
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		o := e.Observation
		issuer, unknown := unknownIssuer(*e)
		switch {
		case o.Reach.Status == inventory.ReachNoRoute:
			family := "IPv4"
			if strings.Contains(o.Address, ":") {
				family = "IPv6"
			}
			s.fault(inventory.FaultNoRoute, "this machine has no route to "+family+" addresses: endpoints there were not examined")
			continue
		case o.Reach.Status == inventory.ReachLocalError:
			s.fault(inventory.FaultLocal, "this machine could not connect: "+o.Reach.Detail)
			continue
		case s.resolver && o.Reach.Status == inventory.ReachDNSTimeout:
			s.fault(inventory.FaultNoResolver, "no resolver answers: check the network, or name one with --resolver")
			e.Judgement.Findings = without(e.Judgement.Findings, of(inventory.CodeDNSFailure))
			continue
		case s.network && o.Address != "" && len(o.Chain) == 0 && deadConnection(o.Reach.Status):
			s.fault(inventory.FaultNoNetwork, "every connection failed ("+string(o.Reach.Status)+"): check this machine's network and firewall")
			e.Judgement.Findings = without(e.Judgement.Findings, of(inventory.CodeUnreachable))
			continue
		case s.issuer != "" && unknown && issuer == s.issuer:
			s.fault(inventory.FaultInterception, intercepted(issuer, "--roots FILE is missing"))
			e.Judgement.Findings = without(e.Judgement.Findings, ofIssuer)
			continue
		}
		if refused(e.Judgement.Verdict) {
			s.fault(inventory.FaultRefused, "CRLs or OCSP responders that certificates name have private addresses, and were not asked: --allow-fetch CIDR allows that")
		}
		examined = true
		if o.Resolution != nil && o.Reach.Status != inventory.ReachDNSTimeout {
			s.resolver = false
		}
		if reached(&o) {
			s.network = false
		}
	}
	if !examined && len(r.Endpoints) > 0 {
		s.missed[r.Target.Key()] = true
		r.Judgement.Findings = without(r.Judgement.Findings, of(inventory.CodeUnreachable))
	}
}

// Add tells of a fault that shows before anything is examined.
func (s *OwnSide) Add(code, message string) {
	s.faults = append(s.faults, inventory.OwnFault{Code: code, Message: message})
}

func (s *OwnSide) fault(code, message string) {
	for i := range s.faults {
		if f := &s.faults[i]; f.Code == code && f.Message == message {
			f.Count++
			return
		}
	}
	if len(s.faults) < heldBack { // local errors carry the system's text, so bound them
		s.faults = append(s.faults, inventory.OwnFault{Code: code, Message: message, Count: 1})
	}
}

// refused reports whether somebody was not asked about revocation because of the
// address, and it stayed unknown.
func refused(v *inventory.Verdict) bool {
	if v == nil {
		return false
	}
	unknown := func(status string, answers []inventory.RevocationAnswer) bool {
		return status == inventory.RevocationUnknown && slices.ContainsFunc(answers, func(a inventory.RevocationAnswer) bool {
			return a.Reason == inventory.EvidenceRefused && strings.Contains(a.Detail, "--allow-fetch")
		})
	}
	r := &v.Revocation
	return unknown(r.Status, r.Answers) || slices.ContainsFunc(r.Intermediates, func(i inventory.IntermediateRevocation) bool {
		return unknown(i.Status, i.Answers)
	})
}

// reached reports whether something came back from an address. A refusal does:
// it shows that the network works.
func reached(o *inventory.Observation) bool {
	return o.Address != "" && (len(o.Chain) > 0 || !deadConnection(o.Reach.Status))
}

func deadConnection(st inventory.ReachStatus) bool {
	return st == inventory.ReachTimeout || st == inventory.ReachUnreachable || st.IsOwnFault()
}

// of is whether a code is the one.
func of(code inventory.Code) func(inventory.Code) bool {
	return func(c inventory.Code) bool { return c == code }
}

func without(findings []inventory.Finding, off func(inventory.Code) bool) []inventory.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f inventory.Finding) bool { return off(f.Code) })
}

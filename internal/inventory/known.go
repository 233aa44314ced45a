package inventory

import (
	"net/netip"
	"time"
)

// A ProbeRequest is one endpoint to connect to with one offer.
type ProbeRequest struct {
	Target  Target
	Address netip.Addr
	Offer   Offer
	Mode    Mode
}

// A KnownView is what is remembered of one current view.
type KnownView struct {
	View  View
	Reach ReachStatus // of the present state

	// Chains by [ChainID]; zero if there is none. Chain is the present state's,
	// LastChain the last that the view served at all (the same as Chain unless
	// it is unreachable now), at LastSeen. PreviousChain is the one before
	// LastChain.
	Chain, LastChain, PreviousChain Fingerprint
	LastSeen                        time.Time

	// Flaps: its state came back within three intervals, as with a pool behind
	// one address, so several handshakes are worth their price.
	Flaps bool

	// Accepted is what the server was last found to accept, nil if that was
	// never asked.
	Accepted *Accepted
}

// A StoredView is a view as the store knows it, ready to be judged again.
type StoredView struct {
	Facts     Facts
	FirstSeen time.Time // of the present state
	LastProbe time.Time
	Count     int64 // examinations that saw the present state
	Retired   bool  // its address is no longer among the answers for the name
}

// A StoredTarget is a target with its current views.
type StoredTarget struct {
	Target    Target
	FirstSeen time.Time
	Views     []StoredView
}

// A Span is a contiguous run of one state of a view.
type Span struct {
	View      View
	FirstSeen time.Time
	LastSeen  time.Time
	Count     int64
	Reach     ReachStatus
	TLS       *TLSFacts
	Chain     []Fingerprint   // as served, leaf first
	Pool      [][]Fingerprint // further chains that belong to the same state
}

// Why findings close.
const (
	ReasonGone        = "gone"         // it was looked for and not found
	ReasonAddressGone = "address gone" // the view is no longer current
	ReasonForgotten   = "forgotten"    // somebody took the target out
)

// A FindingSpan is a finding with the time it was open.
type FindingSpan struct {
	Finding Finding
	Target  string
	Opened  time.Time
	Closed  time.Time // zero while open
	Reason  string    // why it closed, one of the Reason constants; "" while open

	Tier  Tier          // of findings about expiry
	Steps []FindingStep // what it was before, oldest first
}

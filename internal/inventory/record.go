package inventory

import (
	"time"
)

// RecordSchema is the version of the records that reports print. A schema only
// gains fields; an absent object is null.
const RecordSchema = 1

// An EndpointRecord is an endpoint as reports print it.
type EndpointRecord struct {
	Type       string            `json:"type"` // "endpoint"
	Target     string            `json:"target"`
	Host       string            `json:"host"`
	Port       uint16            `json:"port"`
	Protocol   Protocol          `json:"protocol"`
	ServerName string            `json:"server_name"`
	Address    string            `json:"address"`
	Location   string            `json:"location"`
	Offer      Offer             `json:"offer"`
	Time       time.Time         `json:"time"`
	DurationMS int64             `json:"duration_ms"`
	PhasesMS   PhasesMS          `json:"phases_ms"`
	Labels     map[string]string `json:"labels"`
	Sources    []string          `json:"sources"`

	Resolution  *Resolution   `json:"resolution"`
	Reach       Reach         `json:"reach"`
	Capture     *Capture      `json:"capture"`
	TLS         *TLSFacts     `json:"tls"`
	Certificate *Certificate  `json:"certificate"`
	Chain       []ChainRecord `json:"chain"`
	Alternates  []Certificate `json:"alternates,omitempty"`
	Verdict     *Verdict      `json:"verdict"`
	Expiry      *Expiry       `json:"expiry"`
	Tier        Tier          `json:"tier"`

	// LastSeen is set when the certificate is not from this examination but the
	// last that the endpoint is known to have served.
	LastSeen *time.Time `json:"last_seen"`

	Findings []Finding `json:"findings"`
}

// PhasesMS are the [Timings] in milliseconds.
type PhasesMS struct {
	Resolve   float64 `json:"resolve"`
	Connect   float64 `json:"connect"`
	STARTTLS  float64 `json:"starttls"`
	Handshake float64 `json:"handshake"`
}

// A ChainRecord is a served certificate after the leaf.
type ChainRecord struct {
	SHA256     Fingerprint `json:"sha256"`
	Subject    string      `json:"subject"`
	Issuer     string      `json:"issuer"`
	NotAfter   time.Time   `json:"not_after"`
	ParseError string      `json:"parse_error"`
}

// NewChainRecord gives c the shape that reports print.
func NewChainRecord(c Certificate) ChainRecord {
	return ChainRecord{c.SHA256, c.Subject, c.Issuer, c.NotAfter, c.ParseError}
}

// NewEndpointRecord gives e the shape that reports print.
func NewEndpointRecord(t Target, e Endpoint) EndpointRecord {
	o, j := e.Observation, e.Judgement
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	r := EndpointRecord{
		Type: "endpoint", Target: t.Key(), Host: t.Host, Port: t.Port, Protocol: t.Protocol, ServerName: t.ServerName(),
		Address: o.Address, Location: o.Location, Offer: o.Offer, Time: o.Time.UTC(),
		DurationMS: o.Timings.Total().Milliseconds(),
		PhasesMS:   PhasesMS{ms(o.Timings.Resolve), ms(o.Timings.Connect), ms(o.Timings.STARTTLS), ms(o.Timings.Handshake)},
		Labels:     t.Labels, Sources: t.Sources,
		Resolution: o.Resolution, Reach: o.Reach, Capture: o.Capture, TLS: o.TLS,
		Certificate: j.Certificate, Alternates: j.Alternates, Verdict: j.Verdict, Expiry: j.Expiry, Tier: j.Tier,
		Chain: make([]ChainRecord, 0, len(j.Chain)), Findings: j.Findings,
	}
	if t.ServerName() != "" && o.Offer == OfferNoSNI {
		r.ServerName = ""
	}
	for _, c := range j.Chain {
		r.Chain = append(r.Chain, NewChainRecord(c))
	}
	if !j.LastSeen.IsZero() {
		seen := j.LastSeen.UTC()
		r.LastSeen = &seen
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	if r.Sources == nil {
		r.Sources = []string{}
	}
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	return r
}

// A TargetRecord is a target as reports print it.
type TargetRecord struct {
	Type            string    `json:"type"` // "target"
	Target          string    `json:"target"`
	Expiry          *Expiry   `json:"expiry"`
	LifetimeSeconds int64     `json:"lifetime_seconds"`
	Tier            Tier      `json:"tier"`
	Verified        *bool     `json:"verified"`
	Endpoints       int       `json:"endpoints"`
	Findings        []Finding `json:"findings"` // of the target itself, not of its endpoints
}

// NewTargetRecord gives the target of r the shape that reports print.
func NewTargetRecord(r Result) TargetRecord {
	rec := TargetRecord{
		Type: "target", Target: r.Target.Key(), Expiry: r.Judgement.Expiry,
		LifetimeSeconds: int64(r.Judgement.Lifetime / time.Second), Tier: r.Judgement.Tier,
		Verified: r.Judgement.Verified, Endpoints: len(r.Endpoints), Findings: r.Judgement.Findings,
	}
	if rec.Findings == nil {
		rec.Findings = []Finding{}
	}
	return rec
}

// A ScanInfo says which scan a report is of. Reports from the store have no ID.
type ScanInfo struct {
	ID        string      `json:"id"`
	Version   string      `json:"version"`
	Arguments []string    `json:"arguments"`
	Started   time.Time   `json:"started"`
	Ended     time.Time   `json:"ended"`
	Partial   bool        `json:"partial"` // interrupted: some targets were not examined
	Stores    []StoreInfo `json:"trust_stores"`

	Distrust []DistrustInfo `json:"distrust_lists"`

	// LogList is the list of Certificate Transparency logs; nil if there is none.
	LogList *LogListInfo `json:"ct_log_list"`

	// Revocation is what was asked about it; nil for scans of versions that
	// asked nothing.
	Revocation *RevocationInfo `json:"revocation"`
}

// RevocationInfo says what is asked about revocation.
type RevocationInfo struct {
	Mode    RevocationMode `json:"mode"`
	OneCRL  string         `json:"onecrl"` // path of the list of revoked intermediates, "" if there is none
	Entries int            `json:"onecrl_entries"`
}

// DistrustInfo names a distrust list and its date.
type DistrustInfo struct {
	Name    string `json:"name"`
	Date    string `json:"date"`
	Entries int    `json:"entries"`
}

// LogListInfo names a list of Certificate Transparency logs and its date.
type LogListInfo struct {
	Name    string `json:"name"` // its path
	Version string `json:"version"`
	Date    string `json:"date"` // YYYY-MM-DD, "" if it does not say
	Logs    int    `json:"logs"`
}

// StoreInfo names a trust store and its date.
type StoreInfo struct {
	Name string `json:"name"`
	Date string `json:"date"`
	Note string `json:"note,omitempty"`

	// For are the selectors of the targets for which it decides, and Only says
	// that it was asked about no other.
	For  []string `json:"for,omitempty"`
	Only bool     `json:"only,omitempty"`
}

// What may be wrong with the scanner's own side: the codes of an [OwnFault].
const (
	FaultNoRoute      = "no_route"           // to an address family
	FaultLocal        = "local_error"        // such as no file descriptors
	FaultNoResolver   = "no_resolver"        // no resolver answers
	FaultNoNetwork    = "no_network"         // every connection failed
	FaultInterception = "intercepting_proxy" // one unknown issuer on unrelated public names
	FaultRefused      = "fetch_refused"      // what certificates name is at addresses that are not asked
	FaultStaleStore   = "trust_store_stale"
	FaultStaleLogList = "log_list_stale"
)

// An OwnFault is something wrong with the scanner's own side. It is told once
// and is not a finding.
type OwnFault struct {
	Code    string `json:"code"`    // one of the Fault constants
	Message string `json:"message"` // what, and what to do
	Count   int    `json:"count"`   // endpoints that it touched
}

// A Summary answers the questions of a first inventory.
type Summary struct {
	Type               string     `json:"type"` // "summary"
	Targets            int        `json:"targets"`
	Endpoints          int        `json:"endpoints"`
	Certificates       int        `json:"certificates"` // distinct leaves
	Expired            int        `json:"expired"`      // targets
	Within30Days       int        `json:"within_30_days"`
	Names              int        `json:"names"`   // distinct subjectAltNames
	Issuers            int        `json:"issuers"` // distinct issuers of leaves
	Unreachable        int        `json:"unreachable"`
	RevocationUnknown  int        `json:"revocation_unknown"`   // endpoints of which it could not be found out
	TargetsNotExamined int        `json:"targets_not_examined"` // with the bad rows
	BadRows            int        `json:"bad_rows"`             // of the target lists: not known to be targets
	Critical           int        `json:"critical"`
	Warning            int        `json:"warning"`
	Info               int        `json:"info"`
	Ignored            int        `json:"ignored"`
	Waived             int        `json:"waived"`
	Partial            bool       `json:"partial"`
	OwnFaults          []OwnFault `json:"own_faults"`
	Findings           []Finding  `json:"findings"` // of the fleet: of no single target
}

// SourceStatus is how a source of targets does.
type SourceStatus struct {
	Name        string    `json:"name"` // "file:domains.txt"
	Kind        string    `json:"kind"` // "list" or "file"
	Up          bool      `json:"up"`   // the last reading succeeded
	Targets     int       `json:"targets"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	Error       string    `json:"error,omitempty"` // of the last reading
}

package inventory

import "time"

// A LogList is the Certificate Transparency logs that somebody knows, as of a
// date. Logs are found in it by their ID, which is the SHA-256 of their key.
type LogList struct {
	Version string
	Date    time.Time // log_list_timestamp; zero if the list does not say
	Logs    map[Fingerprint]Log
}

// A Log is one Certificate Transparency log.
type Log struct {
	ID          Fingerprint
	Description string
	Operator    string // as of now; see Operators
	Key         []byte // DER of its SubjectPublicKeyInfo
	MMD         time.Duration
	URL         string // submission URL of a tiled log, base URL of another
	Monitoring  string // monitoring URL of a tiled (static-ct) log
	Tiled       bool

	State      LogState
	StateSince time.Time

	// Operators are former operators, the earliest first, each until a time.
	Operators []LogOperator

	// NotAfter of the certificates that the log accepts, a half-open interval;
	// zero if it accepts all.
	AcceptsFrom, AcceptsTo time.Time
}

// A LogOperator operated a log until a time.
type LogOperator struct {
	Name  string
	Until time.Time
}

// A LogState is what the list says of a log.
type LogState string

// The states of the v3 log list.
const (
	LogPending   LogState = "pending"
	LogQualified LogState = "qualified"
	LogUsable    LogState = "usable"
	LogReadOnly  LogState = "readonly"
	LogRetired   LogState = "retired"
	LogRejected  LogState = "rejected"
)

// The values of [CTVerdict.Status].
const (
	CTCompliant     = "compliant"      // enough valid SCTs of distinct operators
	CTInsufficient  = "insufficient"   // valid ones, but too few
	CTMissing       = "missing"        // none at all
	CTInvalid       = "invalid"        // one is not a signature on this certificate
	CTUnverifiable  = "unverifiable"   // of logs that are not in the list, or no list
	CTNotApplicable = "not_applicable" // not issued under a public root, or before the rule
)

// CTVerdict says what the SCTs that were served prove.
type CTVerdict struct {
	Status   string       `json:"status"` // a CT constant, or [NotChecked]
	Detail   string       `json:"detail,omitempty"`
	ListDate string       `json:"log_list_date,omitempty"` // YYYY-MM-DD
	SCTs     []SCTVerdict `json:"scts,omitempty"`
}

// SCTVerdict is what one signed certificate timestamp proves (RFC 6962, section
// 3.2).
type SCTVerdict struct {
	Source    string    `json:"source"` // "certificate", "tls" or "ocsp"
	LogID     string    `json:"log_id"` // base64, as log lists have it
	Log       string    `json:"log"`    // description, "" if unknown
	Operator  string    `json:"operator"`
	Timestamp time.Time `json:"timestamp,omitzero"`

	// Status is "valid", "invalid", "unknown_log", "unverifiable" or "malformed".
	// Detail says why, and of a valid one why it does not count.
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}

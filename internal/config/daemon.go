package config

import (
	"net/netip"
	"time"

	"example.com/certscan/internal/inventory"
)

// Config is what a configuration file says, with the defaults of [Default] for
// what it does not mention. Paths in it are absolute: a relative one in a file
// begins at the directory of the file.
type Config struct {
	Sources []Source
	Scan    Scan
	Tiers   Tiers
	Trust   Trust
	Policy  inventory.Policy
	Waivers []inventory.Waiver
	Metrics Metrics
	Web     Web
	Store   Store
}

// A Source names targets: either Targets or Files.
type Source struct {
	Name    string // unique
	Targets []inventory.Target

	// Files are patterns of [filepath.Match] for lists as scan -f reads them.
	// What matches is looked up again with each refresh.
	Files []string

	// Labels are for the targets that have no such label of their own.
	Labels map[string]string

	// The rest is for Files alone.

	Protocol inventory.Protocol // of rows that name none; default tls
	Refresh  time.Duration      // between two readings; default 1m
	Min      int                // fewer targets than these are a failure, and the last set stays; default 1
	Shrink   float64            // losing more than this part at once is, too; default 0.5, and 1 is never
}

// Kind is "list" or "file", as in [inventory.SourceStatus].
func (s Source) Kind() string {
	if len(s.Files) > 0 {
		return "file"
	}
	return "list"
}

// Scan says how often endpoints are examined, and how.
type Scan struct {
	Location string // name of this process as a location; default local

	Interval time.Duration // between two examinations of a target; default 1h
	Timeout  time.Duration // of one probe, from connecting to the last byte; default 10s
	Retries  int           // after a reset, inside the timeout; default 1

	Concurrency int // connections in flight at most; default 256
	PerAddress  int // connections in flight to one address; default 2

	Confirm    time.Duration // until a failure is looked at again before it is told; default 60s
	StaleAfter float64       // age, in intervals, at which a view is stale; default 2.5

	// Offers are the handshakes to make, [inventory.OfferDefault] among them, and
	// Accepts says that servers are asked what they take besides what they like
	// best. All but the default offer costs further connections, and is asked
	// once in Extras. Defaults: all, true, 24h.
	Offers  []inventory.Offer
	Accepts bool
	Extras  time.Duration

	FirstOnly bool // examine only the first address of a name; default false

	Resolvers []string                // DNS servers, ADDRESS[:PORT]; none: the system's
	Resolve   map[string][]netip.Addr // addresses to connect to instead of asking DNS, by name
}

// Tiers say when before expiry somebody is told.
type Tiers struct {
	List []time.Duration // longest first; default 60, 30, 14, 7, 3 days

	// Reference is the lifetime below which tiers shrink in proportion, unless
	// Absolute. Defaults: 90 days, false.
	Reference time.Duration
	Absolute  bool
}

// Trust says what is trusted, and what of it is checked where.
type Trust struct {
	Stores   []string   // system, mozilla or paths; the first decides; default system
	RootsFor []RootsFor // the first that fits decides instead

	Distrust  []string // paths of lists
	OneCRL    string   // path; "" is none
	CTLogList string   // path; "" is none
	WeakKeys  string   // path; "" is none

	Revocation inventory.RevocationMode // default soft
	Profile    string                   // auto, public or private; default auto

	AllowFetch []string // networks and hosts that certificates may send us to although they are private
	Proxy      string   // URL, without a password; "" is none
	ProxyFile  string   // path of a file with the URL; "" is none
}

// RootsFor lets a store decide for some targets.
type RootsFor struct {
	Targets inventory.Selector
	Store   string // as in [Trust.Stores]
}

// Detail says which targets have series of their own.
type Detail string

// The levels of detail.
const (
	DetailAll       Detail = "all"
	DetailAttention Detail = "attention" // in a tier, with a finding, or stale
	DetailNone      Detail = "none"
)

// Metrics say what /metrics has.
type Metrics struct {
	Detail    Detail   // default all
	Labels    []string // of targets, as labels label_NAME of certscan_target_info; default owner, environment, platform
	SeriesCap int      // series of targets at most; default 2000000
}

// Web is our own listener.
type Web struct {
	Listen      []string // ADDRESS:PORT or unix:PATH; default 127.0.0.1:9887
	ConfigFile  string   // web configuration of exporter-toolkit: TLS, authentication; "" is none
	ExternalURL string   // under which people reach it, ending in /; "" is unknown
	Profiling   bool     // serve /debug/pprof/; default false
	Probe       Probe
}

// Probe limits what /probe may be sent to do.
type Probe struct {
	// Allow are further targets besides those of the inventory: networks,
	// addresses, host names, *.example.com for all below it, and * for every
	// public address. Private addresses need a network.
	Allow    []string
	Rate     float64 // probes a second; default 10
	InFlight int     // probes at a time; default 16
}

// Store is where history is kept.
type Store struct {
	Path      string        // "" is certscan/certscan.db in the state directory
	Retention time.Duration // of closed history; default 400 days
}

const day = 24 * time.Hour

// Default returns what holds where a file says nothing.
func Default() *Config {
	return &Config{
		Scan: Scan{
			Location: inventory.LocalLocation,
			Interval: time.Hour, Timeout: 10 * time.Second, Retries: 1,
			Concurrency: 256, PerAddress: 2,
			Confirm: time.Minute, StaleAfter: 2.5,
			Offers:  allOffers(),
			Accepts: true, Extras: day,
		},
		Tiers: Tiers{List: inventory.DefaultTiers(), Reference: inventory.DefaultReference},
		Trust: Trust{Stores: []string{StoreSystem}, Revocation: inventory.RevocationSoft, Profile: "auto"},
		Metrics: Metrics{
			Detail: DetailAll, Labels: inventory.DefaultLabels(), SeriesCap: 2_000_000,
		},
		Web:   Web{Listen: []string{"127.0.0.1:9887"}, Probe: Probe{Rate: 10, InFlight: 16}},
		Store: Store{Retention: 400 * day},
	}
}

// The trust stores that are no file.
const (
	StoreSystem  = "system"
	StoreMozilla = "mozilla"
)

func allOffers() []inventory.Offer {
	return []inventory.Offer{inventory.OfferDefault, inventory.OfferECDSA, inventory.OfferRSA, inventory.OfferNoSNI}
}

// defaultSource is a source before it is read.
func defaultSource() Source {
	return Source{Protocol: inventory.TLS, Refresh: time.Minute, Min: 1, Shrink: 0.5}
}

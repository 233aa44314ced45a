package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"example.com/certscan/internal/inventory"
)

// answerBefore is how long before the scraper's timeout a probe is answered.
const answerBefore = 500 * time.Millisecond

// ProbeOptions say what /probe may do. Examine, Parse, Known and Special are
// required.
type ProbeOptions struct {
	// Examine examines a target with the default offer, and judges it, within
	// timeout. It asks allow, if that is not nil, before it connects to an
	// address, and connects to none if that returns an error.
	Examine func(ctx context.Context, t inventory.Target, timeout time.Duration, allow func(netip.Addr) error) (inventory.Result, error)

	Parse   func(string) (inventory.Target, error) // reads a target as people write it
	Known   func(key string) bool                  // whether it is in the inventory
	Special func(netip.Addr) string                // what an address is that is not public, else ""

	// Allow are targets besides those of the inventory: networks, addresses, host
	// names, *.example.com, and * for every public address. An address that is
	// not public needs a network or itself.
	Allow []string

	PerSecond float64       // probes, at most; defaults to 10
	InFlight  int           // probes at a time; defaults to 16
	Timeout   time.Duration // of a probe, where the scraper's is not shorter; defaults to 10 s
	Labels    []string      // as in [Settings]

	Now func() time.Time // defaults to time.Now
}

// prober is the handler of /probe.
type prober struct {
	opt      ProbeOptions
	settings settings
	allowed  allowance
	limit    *rate.Limiter
	slots    chan struct{}
}

// Probe returns the handler of /probe?target=T&module=M, which examines on
// demand and answers in certscan's names or in those of another exporter.
//
// Targets of the inventory are always examined, others as far as they are
// allowed; the answer to what is not (403) says what would allow it. Too many
// are turned away (429). A target that fails is an answer like another (200),
// and comes before the scraper's deadline.
func Probe(opt ProbeOptions) (http.Handler, error) {
	if opt.Examine == nil || opt.Parse == nil || opt.Known == nil || opt.Special == nil {
		return nil, errors.New("probe: examine, parse, known and special are required")
	}
	if opt.PerSecond <= 0 {
		opt.PerSecond = 10
	}
	if opt.InFlight <= 0 {
		opt.InFlight = 16
	}
	if opt.Timeout <= 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	s, err := Settings{Labels: opt.Labels}.check()
	if err != nil {
		return nil, err
	}
	allowed, err := parseAllow(opt.Allow, opt.Special)
	if err != nil {
		return nil, err
	}
	return &prober{
		opt: opt, settings: s, allowed: allowed, slots: make(chan struct{}, opt.InFlight),
		limit: rate.NewLimiter(rate.Limit(opt.PerSecond), int(max(1, math.Ceil(opt.PerSecond)))),
	}, nil
}

// A probed is the answer to one probe.
type probed struct {
	module module
	result inventory.Result
	took   time.Duration
	budget time.Duration
}

func (p *prober) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m, t, named, err := p.asked(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var hook *guard
	if !p.opt.Known(t.Key()) && !p.opt.Known(named.Key()) { // whatever name is to be asked for there
		if hook, err = p.allowed.guard(t); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
	}
	if !p.limit.Allow() {
		p.tooMany(w, "more than "+strconv.FormatFloat(p.opt.PerSecond, 'g', -1, 64)+" probes a second: web.probe.rate allows no more")
		return
	}
	select {
	case p.slots <- struct{}{}:
	default:
		p.tooMany(w, fmt.Sprintf("%d probes are under way: web.probe.in_flight allows no more", p.opt.InFlight))
		return
	}
	a := probed{module: m, budget: p.budget(r)}
	start := p.opt.Now()
	err = p.examine(r.Context(), t, hook, &a)
	a.took = p.opt.Now().Sub(start)
	switch refused := hook.refused(); {
	case refused != nil:
		http.Error(w, refused.Error(), http.StatusForbidden)
	case err != nil:
		http.Error(w, "examine "+clean(t.Key())+": "+clean(err.Error()), http.StatusInternalServerError)
	default:
		p.answer(w, &a)
	}
}

func (p *prober) tooMany(w http.ResponseWriter, text string) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, text, http.StatusTooManyRequests)
}

// asked reads what to examine, and as what to answer. named is the target alone,
// without another name to ask for.
func (p *prober) asked(r *http.Request) (m module, t, named inventory.Target, err error) {
	q := r.URL.Query()
	if m, err = parseModule(q.Get("module")); err != nil {
		return m, t, named, err
	}
	raw := q.Get("target")
	if raw == "" {
		return m, t, named, errors.New("target: missing, as in /probe?target=example.com:443")
	}
	if m.protocol != "" && !strings.Contains(raw, "://") {
		raw = string(m.protocol) + "://" + raw
	}
	if t, err = p.opt.Parse(raw); err != nil {
		return m, t, named, fmt.Errorf("target: %s", clean(err.Error()))
	}
	named = t
	// blackbox_exporter has hostname, forks of ssl_exporter have server_name.
	for _, key := range []string{"hostname", "server_name"} {
		name := q.Get(key)
		if name == "" {
			continue
		}
		other, err := p.opt.Parse(name)
		if err != nil || other.Address != "" {
			return m, t, named, fmt.Errorf("%s: %q is not a name", key, clean(name))
		}
		if other.Host != t.Host {
			t.Address, t.Host = t.DialName(), other.Host
		}
	}
	return m, t, named, nil
}

// budget is the time until the answer has to be there.
func (p *prober) budget(r *http.Request) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || !(seconds > 0) || seconds > 3600 {
		return p.opt.Timeout
	}
	scraper := time.Duration(seconds * float64(time.Second))
	return min(p.opt.Timeout, max(scraper-answerBefore, scraper/2))
}

// examine fills in the result, as of the deadline at the latest. It holds the
// slot until the examination has ended.
func (p *prober) examine(ctx context.Context, t inventory.Target, hook *guard, a *probed) error {
	ctx, cancel := context.WithTimeout(ctx, a.budget)
	defer cancel()
	type outcome struct {
		result inventory.Result
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() { <-p.slots }()
		// A little less, so that what times out says so itself.
		r, err := p.opt.Examine(ctx, t, a.budget*9/10, hook.hook())
		done <- outcome{r, err}
	}()
	timedOut := inventory.Result{Target: t, Endpoints: []inventory.Endpoint{{Observation: inventory.Observation{
		Target: t.Key(), Location: inventory.LocalLocation, Offer: inventory.OfferDefault, Time: p.opt.Now(),
		Reach: inventory.Reach{Status: inventory.ReachTimeout},
	}}}}
	select {
	case o := <-done:
		a.result = o.result
		if ctx.Err() != nil && (o.err != nil || len(o.result.Endpoints) == 0) {
			a.result = timedOut
			return nil
		}
		return o.err
	case <-ctx.Done():
		a.result = timedOut
		return nil
	}
}

// answer writes what was found.
func (p *prober) answer(w http.ResponseWriter, a *probed) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	x := &text{w: newBuffer(w)}
	if a.module.own {
		p.ownNames(x, a)
	}
	if a.module.ssl {
		a.sslNames(x)
	}
	if a.module.blackbox {
		a.blackboxNames(x)
	}
	x.w.flush()
}

// ownNames writes the same series as the scrape of the whole fleet.
func (p *prober) ownNames(x *text, a *probed) {
	e := &Exporter{settings: p.settings, targets: map[string]*target{}, kinds: map[string]*kind{}, certs: newCertificates()}
	t := e.record(&a.result, p.opt.Now())
	x.begin(family{"certscan_probe_success", gauge, "Whether every address answered and what it serves is in time, for the name, trusted and not revoked."})
	x.sample("", truth(a.success()))
	x.begin(family{"certscan_probe_took_seconds", gauge, "How long this probe took."})
	x.seconds("", a.took.Seconds())
	s := &snapshot{settings: p.settings, targets: []*target{t}, slots: e.certs.slots}
	page := &page{text: x, snapshot: s, now: p.opt.Now(), chosen: s.targets}
	page.detail()
}

// success reports whether every address answered with what verifies, or, where
// the module does not ask for that, with TLS. Without the key of what it sends
// no server completes a handshake.
func (a *probed) success() bool {
	for i := range a.result.Endpoints {
		e := &a.result.Endpoints[i]
		if e.Observation.Reach.Status != inventory.ReachOK || e.Judgement.Unproven || !a.module.insecure && !e.Judgement.Verified() {
			return false
		}
	}
	return len(a.result.Endpoints) > 0
}

// A module says as what to answer.
type module struct {
	own, ssl, blackbox bool

	protocol inventory.Protocol // before TLS, where the target names none
	prober   string             // what ssl_exporter would call it
	http     bool               // what blackbox_exporter would do is an HTTP request
	insecure bool               // success does not need a certificate that verifies
}

// parseModule knows the names that the other exporters' own examples give to
// modules, besides ours.
func parseModule(name string) (module, error) {
	m := module{prober: "tcp"}
	n, insecure := strings.CutSuffix(name, "_insecure")
	m.insecure = insecure
	switch n {
	case "", "certscan":
		m.own, m.insecure = true, false
		if insecure {
			break
		}
		return m, nil
	case "ssl_exporter", "tcp":
		m.ssl = true
		return m, nil
	case "https":
		m.ssl, m.prober = true, "https"
		return m, nil
	case "blackbox", "tcp_connect", "tcp_connect_tls", "tcp_tls", "tls_connect":
		m.blackbox = true
		return m, nil
	case "http", "http_2xx", "https_2xx":
		m.blackbox, m.http = true, true
		return m, nil
	}
	if protocol, ok := strings.CutSuffix(n, "_starttls"); ok {
		protocol, ofSSL := strings.CutPrefix(protocol, "tcp_")
		m.protocol = inventory.Protocol(strings.ReplaceAll(protocol, "_", "-"))
		if m.protocol.Valid() && m.protocol != inventory.TLS {
			m.ssl, m.blackbox = true, !ofSSL // both call theirs smtp_starttls
			return m, nil
		}
	}
	return m, fmt.Errorf("module: %q is not known: want certscan, ssl_exporter (or tcp, https, tcp_smtp_starttls, …), "+
		"or blackbox (or http_2xx, tcp_connect, tls_connect, smtp_starttls, …), and with _insecure where verification is not part of success", clean(name))
}

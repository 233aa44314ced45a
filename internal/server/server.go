// Package server is certscan's own listener: its lifecycle, who may use it, and
// what it answers about the inventory: health, a page to begin at, a read-only
// API, and service discovery for others.
//
// It judges nothing and opens no database: an [Index] has what is told of the
// whole fleet, and a [Fleet] what is told of one target. TLS and authentication
// are those of exporter-toolkit's web configuration, which the Prometheus world
// knows. Its invariant: nothing is changed for a caller who did not
// authenticate, unless only this machine can call.
package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"example.com/certscan/internal/inventory"
)

// A Fleet knows one thing in full.
type Fleet interface {
	// Result is a target with all its current views, by what a person calls it.
	// The error is [inventory.ErrUnknownTarget] if there is none.
	Result(ctx context.Context, target string) (inventory.Result, error)

	// Certificate is one by the SHA-256 of itself, or its first digits. The error
	// is [inventory.ErrUnknownCertificate] if there is none.
	Certificate(ctx context.Context, digest string) (Certificate, error)
}

// A Certificate is what is known of one.
type Certificate struct {
	Certificate inventory.Certificate
	DER         []byte
	FirstSeen   time.Time
	ServedBy    []inventory.Serving
}

// Options of a [Server]. Listen, Index and Fleet are required.
type Options struct {
	Listen     []string // ADDRESS:PORT, or unix:PATH
	ConfigFile string   // web configuration of exporter-toolkit, read again with each request; "" is none

	// ExternalURL is under which people reach us. If it has a path, everything is
	// served below that as well, so that a proxy may leave it or take it off.
	ExternalURL string

	Version   string // of certscan
	Profiling bool   // serve /debug/pprof/

	Index *Index
	Fleet Fleet

	// Metrics, Targets and Probe are /metrics, /metrics/targets and /probe; nil
	// is not found.
	Metrics, Targets, Probe http.Handler

	// Reload reads the configuration again, for /-/reload; nil is not found. It is
	// not called before Index is loaded.
	Reload func(context.Context) error

	Grace time.Duration // for requests in flight at the end; default 5s

	// Connections is how many may be open at a time, on all listeners together;
	// default [DefaultConnections]. Further ones wait for one of them to close.
	Connections int

	Log *slog.Logger // default: discards
}

// A Server listens and answers. Call Listen and Run once.
type Server struct {
	opt       Options
	handler   http.Handler
	known     string // host of ExternalURL
	listeners []net.Listener
}

// DefaultConnections is how many connections may be open at a time. Each takes
// an open file from what examines.
const DefaultConnections = 512

// Limits of what strangers may make us hold.
const (
	maxHeader    = 16 << 10
	maxBody      = 4 << 10
	headTimeout  = 10 * time.Second
	readTimeout  = 30 * time.Second
	writeTimeout = 5 * time.Minute // of a large fleet to a slow scraper
	idleTimeout  = 2 * time.Minute
)

// New checks opt, and reads the web configuration once to say what is wrong
// with it.
func New(opt Options) (*Server, error) {
	if len(opt.Listen) == 0 || opt.Index == nil || opt.Fleet == nil {
		return nil, errors.New("server: an address to listen on, an index and a fleet are required")
	}
	if err := CheckConfig(opt.ConfigFile); err != nil {
		return nil, err
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Grace == 0 {
		opt.Grace = 5 * time.Second
	}
	if opt.Connections == 0 {
		opt.Connections = DefaultConnections
	}
	prefix, known := "", ""
	if opt.ExternalURL != "" {
		u, err := url.Parse(opt.ExternalURL)
		if err != nil {
			return nil, fmt.Errorf("external URL: %w", err)
		}
		prefix, known = strings.TrimRight(u.Path, "/"), u.Hostname()
	}
	s := &Server{opt: opt, known: known}
	page, err := s.newPage()
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	mux := s.routes()
	mux.HandleFunc("GET /{$}", page)
	s.handler = s.wrap(mux, prefix)
	return s, nil
}

// routes is what is answered where.
func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "healthy") })
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !s.opt.Index.isLoaded() {
			plain(w, http.StatusServiceUnavailable, "what is stored is being loaded")
			return
		}
		plain(w, http.StatusOK, "ready")
	})
	if s.opt.Reload != nil {
		mux.HandleFunc("POST /-/reload", s.reload)
		mux.HandleFunc("PUT /-/reload", s.reload)
	}
	for path, h := range map[string]http.Handler{"/metrics": s.opt.Metrics, "/metrics/targets": s.opt.Targets, "/probe": s.opt.Probe} {
		if h != nil {
			mux.Handle("GET "+path, h)
		}
	}
	if s.opt.Profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	s.routeAPI(mux)
	mux.Handle("GET /sd", s.whenLoaded(s.sd))
	mux.Handle("GET /sd/prometheus", s.whenLoaded(s.sd))
	return mux
}

// wrap adds what holds for every answer.
func (s *Server) wrap(mux http.Handler, prefix string) http.Handler {
	if prefix != "" {
		below := http.NewServeMux()
		pattern := (&url.URL{Path: prefix + "/"}).EscapedPath() // braces and blanks mean something in patterns
		below.Handle(pattern, http.StripPrefix(prefix, mux))
		below.Handle("/", mux)
		mux = below
	}
	limited := http.MaxBytesHandler(mux, maxBody)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		limited.ServeHTTP(w, r)
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

// Listen opens the listeners.
func (s *Server) Listen(ctx context.Context) error {
	open := s.opt.ConfigFile == "" || !authenticates(s.opt.ConfigFile)
	for _, address := range s.opt.Listen {
		l, err := listen(ctx, address)
		if err != nil {
			s.close()
			return fmt.Errorf("listen on %s: %w", address, err)
		}
		// A share each: one that is overrun leaves the others theirs.
		s.listeners = append(s.listeners, netutil.LimitListener(l, max(1, s.opt.Connections/len(s.opt.Listen))))
		if open && !local(l.Addr()) {
			s.opt.Log.WarnContext(ctx, "everybody who reaches this address can read the inventory: web.config_file sets authentication", "address", l.Addr().String())
		}
	}
	return nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var lc net.ListenConfig
	path, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return lc.Listen(ctx, "tcp", address)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSocket != 0 { // left by one that was killed
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			return nil, errors.New("somebody listens there already")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return lc.Listen(ctx, "unix", path)
}

func (s *Server) close() {
	for _, l := range s.listeners {
		l.Close()
	}
}

// Addrs are the addresses that Listen opened.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Run answers until ctx ends, and then lets what is in flight finish within
// Grace.
func (s *Server) Run(ctx context.Context) error {
	if len(s.listeners) == 0 {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		// One each: exporter-toolkit changes the server that it is given.
		srv := &http.Server{
			Handler:           s.byName(l.Addr()),
			ReadHeaderTimeout: headTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelDebug), // what strangers do wrong
		}
		served := make(chan struct{})
		g.Go(func() error {
			defer close(served)
			none := false
			err := web.Serve(l, srv, &web.FlagConfig{WebConfigFile: &s.opt.ConfigFile, WebSystemdSocket: &none}, slog.New(warnings{s.opt.Log.Handler()}))
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		})
		g.Go(func() error {
			<-gctx.Done()
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.Grace)
			defer cancel()
			if err := srv.Shutdown(bounded); err != nil {
				srv.Close()
			}
			l.Close() // the server has not begun with it if ctx ended at once
			<-served
			return nil
		})
	}
	return g.Wait()
}

// warnings are what is worth telling of what exporter-toolkit logs.
type warnings struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// local reports whether only this machine can reach an address.
func local(a net.Addr) bool {
	if a.Network() == "unix" {
		return true
	}
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

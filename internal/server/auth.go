package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/exporter-toolkit/web"
)

// CheckConfig says what is wrong with a web configuration; "" is none, which is
// right.
func CheckConfig(path string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("web configuration: %w", err)
	}
	if err := web.Validate(path); err != nil {
		return fmt.Errorf("web configuration %q: %w", path, err)
	}
	return nil
}

// webConfig is what matters here of a web configuration, which exporter-toolkit
// has found to be right.
type webConfig struct {
	Users map[string]string `yaml:"basic_auth_users"`
	TLS   struct {
		ClientAuth string `yaml:"client_auth_type"`
	} `yaml:"tls_server_config"`
}

func readWebConfig(path string) (webConfig, error) {
	var c webConfig
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, &c)
	}
	return c, err
}

// authenticates reports whether a web configuration lets nobody in who is not
// known.
func authenticates(path string) bool {
	c, err := readWebConfig(path)
	return err == nil && (len(c.Users) > 0 || c.TLS.ClientAuth == "RequireAndVerifyClientCert")
}

// reload reads the configuration again, for who may ask for it, and not while the
// first one is being put to work.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if why := s.mayChange(r); why != "" {
		plain(w, http.StatusForbidden, why)
		return
	}
	if !s.opt.Index.isLoaded() {
		w.Header().Set("Retry-After", "5")
		plain(w, http.StatusServiceUnavailable, "what is stored is being loaded: ask again in a few seconds")
		return
	}
	if err := s.opt.Reload(r.Context()); err != nil {
		plain(w, http.StatusInternalServerError, err.Error())
		return
	}
	plain(w, http.StatusOK, "reloaded")
}

// mayChange says why a caller may change nothing; "" is that they may.
func (s *Server) mayChange(r *http.Request) string {
	if err := http.NewCrossOriginProtection().Check(r); err != nil { // a page that a browser on this side has open
		return "a request from another site changes nothing here"
	}
	if s.authenticated(r) {
		return ""
	}
	const how = "set authentication with web.config_file, or send SIGHUP instead"
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || !local(addr) {
		return "this listener is open to others and asks nobody who they are: " + how
	}
	// A proxy on this machine may be open to the world, and a name may be one
	// that a stranger lets point here.
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return "the request came through a proxy: " + how
		}
	}
	if addr.Network() != "unix" && !localHost(r.Host) {
		return "the request names another host than this machine: " + how
	}
	return ""
}

// byName answers on a listener, and on loopback only to who calls this machine by
// a name of its own: for a browser, a page of a stranger whose name was let point
// here is the same site, and would read what it likes. Addresses cannot be led
// elsewhere, certificates tell over TLS, and who authenticates is no such page.
func (s *Server) byName(addr net.Addr) http.Handler {
	if addr.Network() == "unix" || !local(addr) {
		return s.handler
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil && !s.named(r.Host) && !s.authenticated(r) {
			plain(w, http.StatusForbidden, fmt.Sprintf("the request names another host than this machine, %q: "+
				"use localhost or the address, or set web.external_url to the URL with that name", r.Host))
			return
		}
		s.handler.ServeHTTP(w, r)
	})
}

// named reports whether the Host of a request is an address, a name of this
// machine, or the one by which people know us. Browsers always send one.
func (s *Server) named(host string) bool {
	if host == "" || localHost(host) {
		return true
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if s.known != "" && strings.EqualFold(host, s.known) {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil
}

// authenticated reports whether the caller proved who they are: by a client
// certificate, or by a password, without which nobody gets as far as this.
func (s *Server) authenticated(r *http.Request) bool {
	if s.opt.ConfigFile == "" {
		return false
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	c, err := readWebConfig(s.opt.ConfigFile)
	return err == nil && len(c.Users) > 0
}

// localHost reports whether the Host of a request is this machine.
func localHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}

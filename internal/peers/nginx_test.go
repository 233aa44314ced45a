package peers_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"example.com/certscan/internal/inventory"
)

// An nginxServer is a server block.
type nginxServer struct {
	port     uint16
	name     string
	plain    bool // HTTP without TLS
	settings []string
}

func (s *nginxServer) set(format string, args ...any) {
	s.settings = append(s.settings, fmt.Sprintf(format, args...))
}

// serveNginx starts one nginx for all blocks.
func serveNginx(t *testing.T, dir string, servers ...*nginxServer) {
	t.Helper()
	path := find(t, "nginx", "nginx")
	var conf strings.Builder
	conf.WriteString("daemon off;\nmaster_process off;\npid nginx.pid;\nevents {}\nhttp {\naccess_log off;\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&conf, "%s_temp_path %s;\n", kind, kind)
	}
	var ports []uint16
	for _, s := range servers {
		kind := " ssl"
		if s.plain {
			kind = ""
		}
		fmt.Fprintf(&conf, "server {\nlisten 127.0.0.1:%d%s;\nserver_name %s;\n%s\n}\n", s.port, kind, s.name, strings.Join(s.settings, "\n"))
		ports = append(ports, s.port)
	}
	conf.WriteString("}\n")
	write(t, dir+"/nginx.conf", conf.String())
	account{}.serve(t, dir, syscall.SIGTERM, ports, path, "-p", dir, "-c", dir+"/nginx.conf", "-e", "stderr")
}

// TestNginx asks one nginx for everything that can be asked of one.
func TestNginx(t *testing.T) {
	t.Parallel()
	find(t, "nginx", "nginx") // before keys are made
	dir, ca := tempDir(t), newPKI(t)
	root, intermediate := ca.root.cert.Raw, ca.intermediate.cert.Raw
	block := func(name string, l *leaf, served ...[]byte) *nginxServer {
		s := &nginxServer{port: freePort(t), name: name}
		cert, key := l.files(t, dir, served...)
		s.set("ssl_certificate %s;\nssl_certificate_key %s;", cert, key)
		return s
	}
	withECDSA := ca.leaf(t, "shop.example", ecdsaKey(t))
	withRSA := ca.leaf(t, "shop.example", rsaKey(t))
	fallback := ca.leaf(t, "default.example", ecdsaKey(t))

	dual := block("shop.example", withECDSA, withECDSA.chain()...)
	cert, key := withRSA.files(t, dir, withRSA.chain()...)
	dual.set("ssl_certificate %s;\nssl_certificate_key %s;", cert, key)

	first := block("default.example", fallback, fallback.chain()...)
	second := block("shop.example", withECDSA, withECDSA.chain()...)
	second.port = first.port

	wrongOrder := block("shop.example", withECDSA, withECDSA.cert.Raw, root, intermediate)
	leafOnly := block("shop.example", withECDSA, withECDSA.cert.Raw)
	asks := block("shop.example", withECDSA, withECDSA.chain()...)
	asks.set("ssl_verify_client on;\nssl_client_certificate %s;", cert)
	tls12 := block("shop.example", withECDSA, withECDSA.chain()...)
	tls12.set("ssl_protocols TLSv1.2;")
	tls10 := block("shop.example", withRSA, withRSA.chain()...)
	tls10.set("ssl_protocols TLSv1;\nssl_ciphers ALL:@SECLEVEL=0;")

	serveNginx(t, dir, dual, first, second, wrongOrder, leafOnly, asks, tls12, tls10)

	t.Run("two certificates", func(t *testing.T) {
		for _, tt := range []struct {
			offer  inventory.Offer
			sigalg string
			served [][]byte
		}{
			{inventory.OfferECDSA, "ecdsa_secp256r1_sha256", withECDSA.chain()},
			{inventory.OfferRSA, "rsa_pss_rsae_sha256:rsa_pkcs1_sha256", withRSA.chain()},
		} {
			chain, _ := reference(t, inventory.TLS, "shop.example", dual.port, "-sigalgs", tt.sigalg)
			sameChain(t, observe(t, inventory.TLS, "shop.example", dual.port, tt.offer), chain, tt.served)
		}
	})
	t.Run("another certificate without a server name", func(t *testing.T) {
		agree(t, inventory.TLS, "shop.example", second.port, withECDSA.chain())
		chain, _ := reference(t, inventory.TLS, "", first.port)
		o := observe(t, inventory.TLS, "shop.example", first.port, inventory.OfferNoSNI)
		sameChain(t, o, chain, fallback.chain())
	})
	t.Run("a chain in the wrong order", func(t *testing.T) {
		agree(t, inventory.TLS, "shop.example", wrongOrder.port, [][]byte{withECDSA.cert.Raw, root, intermediate})
	})
	t.Run("no intermediate", func(t *testing.T) {
		agree(t, inventory.TLS, "shop.example", leafOnly.port, [][]byte{withECDSA.cert.Raw})
	})
	t.Run("a client certificate asked for", func(t *testing.T) {
		// nginx lets the handshake end and answers 400 to the request.
		o := agree(t, inventory.TLS, "shop.example", asks.port, withECDSA.chain())
		if o.TLS != nil && o.TLS.ClientCertificateRequired {
			t.Error("client certificate required, want it only asked for")
		}
	})
	t.Run("TLS 1.2 only", func(t *testing.T) {
		o := agree(t, inventory.TLS, "shop.example", tls12.port, withECDSA.chain())
		if o.TLS != nil && o.TLS.Version != "TLS 1.2" {
			t.Errorf("version %s, want TLS 1.2", o.TLS.Version)
		}
	})
	t.Run("TLS 1.0 only", func(t *testing.T) {
		chain, version := reference(t, inventory.TLS, "shop.example", tls10.port, "-tls1", "-cipher", "ALL:@SECLEVEL=0")
		o := observe(t, inventory.TLS, "shop.example", tls10.port, inventory.OfferDefault)
		sameChain(t, o, chain, withRSA.chain())
		if o.TLS == nil || o.TLS.Version != version || version != "TLS 1.0" {
			t.Errorf("tls = %+v, openssl says %q, want TLS 1.0", o.TLS, version)
		}
	})
	t.Run("plain HTTP", func(t *testing.T) {
		without(t, inventory.Postgres, dual.port, inventory.ReachNotTLS, "http")
	})
}

// TestClientCertificateRequired uses the test server of openssl, which ends the
// handshake where nginx does not.
func TestClientCertificateRequired(t *testing.T) {
	t.Parallel()
	openssl := find(t, "openssl", "openssl")
	for _, version := range []string{"1.2", "1.3"} {
		t.Run("TLS "+version, func(t *testing.T) {
			t.Parallel()
			dir, ca, port := tempDir(t), newPKI(t), freePort(t)
			l := ca.leaf(t, "shop.example", ecdsaKey(t))
			cert, key := l.files(t, dir, l.cert.Raw)
			write(t, dir+"/chain", toPEM(ca.intermediate.cert.Raw))
			account{}.serve(t, dir, syscall.SIGTERM, []uint16{port}, openssl, "s_server", "-accept", address(port), "-www",
				"-cert", cert, "-cert_chain", dir+"/chain", "-key", key, "-Verify", "2", "-tls"+strings.Replace(version, ".", "_", 1))
			chain, _ := reference(t, inventory.TLS, "shop.example", port)
			o := observe(t, inventory.TLS, "shop.example", port, inventory.OfferDefault)
			sameChain(t, o, chain, l.chain())
			if o.TLS == nil || !o.TLS.ClientCertificateRequired || o.TLS.Version != "TLS "+version {
				t.Errorf("tls = %+v, want TLS %s and a client certificate required", o.TLS, version)
			}
		})
	}
}

package lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/smallstep/pkcs7"
)

// An issuerServer is what the URLs in the lab's certificates lead to: the
// certificates of the authorities in every form that is met, their CRLs, and
// answers that a careful client survives.
type issuerServer struct {
	base string // "http://127.7.0.1:port"
	http *http.Server
	now  time.Time

	mu     sync.Mutex
	issuer map[string]*Certificate // by path without suffix

	lists      map[string][]byte // by name, as the next
	responders map[string]func(serial *big.Int) ([]byte, error)
	requests   map[string]int // for lists
}

func newIssuerServer(ln net.Listener, now time.Time) *issuerServer {
	s := &issuerServer{
		base: "http://" + ln.Addr().String(), now: now, issuer: make(map[string]*Certificate),
		lists: make(map[string][]byte), responders: make(map[string]func(*big.Int) ([]byte, error)), requests: make(map[string]int),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ca/{file}", s.authority)
	mux.HandleFunc("GET /crl/{name}", s.list)
	mux.HandleFunc("GET /requests", s.counts)
	mux.HandleFunc("GET /ocsp/{name}/{request...}", s.respond)
	mux.HandleFunc("POST /ocsp/{name}", s.respond)
	mux.HandleFunc("GET /html", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Moved</title><p>This service has moved.\n")
	})
	mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/pkix-cert")
		for zeros := make([]byte, 64<<10); r.Context().Err() == nil; {
			if _, err := w.Write(zeros); err != nil {
				return
			}
		}
	})
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: connLimit}
	return s
}

// run serves until ctx ends, and until the last request has been answered.
func (s *issuerServer) run(ctx context.Context, ln net.Listener) {
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.http.Serve(ln) // ends with Shutdown
	}()
	<-ctx.Done()
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.http.Shutdown(patience) != nil {
		s.http.Close()
	}
	<-served
}

// publish gives c a place under its name.
func (s *issuerServer) publish(name string, c *Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issuer[name] = c
	c.url = s.base + "/ca/" + name
}

func (s *issuerServer) authority(w http.ResponseWriter, r *http.Request) {
	file := []byte(r.PathValue("file"))
	dot := max(0, bytes.LastIndexByte(file, '.'))
	s.mu.Lock()
	c := s.issuer[string(file[:dot])]
	s.mu.Unlock()
	if c == nil {
		http.NotFound(w, r)
		return
	}
	body, kind, err := publishedAs(c, string(file[dot:]), s.now)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(body)
}

// publishedAs returns c, or its CRL, in the form that suffix asks for, and the
// media type (RFC 5280, 4.2.2.1; RFC 2585).
func publishedAs(c *Certificate, suffix string, now time.Time) (body []byte, kind string, err error) {
	switch suffix {
	case ".cer":
		return c.DER, "application/pkix-cert", nil
	case ".pem":
		return c.PEM(), "application/x-pem-file", nil
	case ".p7c":
		body, err = pkcs7.DegenerateCertificate(c.DER)
		return body, "application/pkcs7-mime", err
	case ".crl":
		body, err = emptyCRL(c, now)
		return body, "application/pkix-crl", err
	}
	return nil, "", fmt.Errorf("no form %q", suffix)
}

func emptyCRL(c *Certificate, now time.Time) ([]byte, error) {
	issuer, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return nil, err
	}
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(7 * day)}
	return x509.CreateRevocationList(rand.Reader, list, issuer, c.Key)
}

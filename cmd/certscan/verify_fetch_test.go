package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"example.com/certscan/internal/lab"
)

// Files are judged together: servers that are slow to answer are waited for at
// the same time.
func TestVerifyFetchesConcurrently(t *testing.T) {
	t.Parallel()
	const files = 6 // fewer than are asked of one host at a time
	var together sync.WaitGroup
	together.Add(files)
	all := make(chan struct{})
	go func() { together.Wait(); close(all) }()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		together.Done()
		select {
		case <-all:
		case <-r.Context().Done():
			t.Errorf("%s was given up before all were asked for", r.URL)
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	ca, err := lab.Issue(nil, lab.Spec{CommonName: "CA", CA: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	written := make(map[string]string)
	args := []string{"verify", "--fetch", "--allow-fetch", "127.0.0.0/8", "--fail-on", "never", "--roots", "DIR/ca.pem"}
	text := func(c *lab.Certificate) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}))
	}
	written["ca.pem"] = text(ca)
	for i := range files {
		leaf, err := lab.Issue(ca, lab.Spec{
			CommonName: "leaf", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
			Template: func(c *x509.Certificate) { c.CRLDistributionPoints = []string{fmt.Sprintf("%s/%d.crl", server.URL, i)} },
		})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("leaf%d.pem", i)
		written[name], args = text(leaf), append(args, "DIR/"+name)
	}
	dir := t.TempDir()
	writeFiles(t, dir, written)
	if got := certscan(t, t.Context(), dir, "", args...); got.status != exitOK {
		t.Errorf("exit status %d: %s", got.status, got.errors)
	}
}

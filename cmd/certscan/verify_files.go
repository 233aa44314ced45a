package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	stdio "io"
	"os"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/certfile"
	"example.com/certscan/internal/crl"
	"example.com/certscan/internal/inventory"
)

// Largest files that are read, in bytes.
const (
	maxGivenCRL  = 1 << 30 // it is not held
	maxGivenOCSP = 1 << 20
)

// givenFlags name files with what is otherwise fetched.
type givenFlags struct {
	crls, ocsp, issuers []string
}

func (f *givenFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.crls, "crl", nil, "judge revocation by the CRLs in `FILE`, DER or PEM; repeatable")
	fs.StringArrayVar(&f.ocsp, "ocsp", nil, "judge revocation by the OCSP response in `FILE`, DER or PEM; repeatable")
	fs.StringArrayVar(&f.issuers, "issuer", nil, "the certificates in `FILE` may have issued the others: to verify --crl and --ocsp by, not to complete a chain; repeatable")
}

// read reads the files. That one holds no CRL or response is nothing to stop
// for: it is an answer, and what it says is unknown.
func (f *givenFlags) read(opt certfile.Options) (inventory.Given, error) {
	var g inventory.Given
	malformed := func(source, path string, err error) {
		g.Unreadable = append(g.Unreadable, inventory.RevocationAnswer{
			Source: source, Status: inventory.RevocationUnknown,
			Reason: inventory.EvidenceMalformed, Detail: fmt.Sprintf("%q: %v", path, err),
		})
	}
	for _, path := range f.crls {
		lists, err := readCRLs(path)
		if _, is := errors.AsType[*crl.SyntaxError](err); is {
			malformed(inventory.SourceCRL, path, err)
		} else if err != nil {
			return g, usageError{fmt.Errorf("--crl: %w", err)}
		}
		g.CRLs = append(g.CRLs, lists...)
	}
	for _, path := range f.ocsp {
		responses, err := readResponses(path)
		if errors.Is(err, errNoResponse) {
			malformed(inventory.SourceOCSP, path, err)
		} else if err != nil {
			return g, usageError{fmt.Errorf("--ocsp: %w", err)}
		}
		g.OCSP = append(g.OCSP, responses...)
	}
	for _, path := range f.issuers {
		c, err := certfile.Read(path, opt)
		if err != nil {
			return g, usageError{fmt.Errorf("--issuer: %w", err)}
		}
		for _, found := range c.Certificates {
			g.Issuers = append(g.Issuers, found.DER)
		}
	}
	return g, nil
}

func readCRLs(path string) ([]*inventory.CRL, error) {
	r, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return crl.ReadAll(r, maxGivenCRL)
}

var errNoResponse = errors.New("no OCSP response in it")

// readResponses reads one response in DER, or those in the blocks of PEM.
func readResponses(path string) ([][]byte, error) {
	r, err := openPlain(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := stdio.ReadAll(stdio.LimitReader(r, maxGivenOCSP+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxGivenOCSP:
		return nil, fmt.Errorf("%q is larger than %d MiB", path, maxGivenOCSP>>20)
	case !bytes.Contains(data, []byte("-----BEGIN ")):
		return [][]byte{data}, nil
	}
	var all [][]byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "OCSP RESPONSE" {
			all = append(all, block.Bytes)
		}
	}
	if len(all) == 0 {
		return nil, errNoResponse
	}
	return all, nil
}

func openPlain(path string) (*os.File, error) {
	if err := plainFile(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

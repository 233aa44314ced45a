package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// A Reason is one word for why a fetch failed.
type Reason string

// The closed set of reasons.
const (
	ReasonRefusedAddress Reason = "refused_address" // ours: not a public address, and not allowed
	ReasonBadURL         Reason = "bad_url"         // ours: not a URL that may be fetched
	ReasonDNS            Reason = "dns"
	ReasonConnect        Reason = "connect"
	ReasonTLS            Reason = "tls" // the https server's certificate is not good, or the handshake failed
	ReasonTimeout        Reason = "timeout"
	ReasonStatus         Reason = "status" // neither 200 nor an expected 304
	ReasonTooLarge       Reason = "too_large"
	ReasonRedirectLoop   Reason = "redirect_loop" // too many redirects
	ReasonProtocol       Reason = "protocol"      // not HTTP, or it ended too early
)

// An Error says why a fetch failed. Text in it may come from the network.
type Error struct {
	URL    string
	Reason Reason
	Status int // of ReasonStatus
	Err    error
}

// Error is "fetch URL: text".
func (e *Error) Error() string {
	if e.URL == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("fetch %q: %v", e.URL, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Word is the reason as text, with the number for a status: "status 404".
func (e *Error) Word() string {
	if e.Reason == ReasonStatus {
		return "status " + strconv.Itoa(e.Status)
	}
	return string(e.Reason)
}

func badURL(err error) *Error { return &Error{Reason: ReasonBadURL, Err: err} }

// classify gives err, from anywhere below, its reason and the URL that was
// asked for. The end of the caller's context is not a fault of the URL; flights
// tells the two apart.
func classify(rawURL string, err error) error {
	var (
		own     *Error
		wrapped *url.Error
		netErr  net.Error
		opErr   *net.OpError
		verify  *tls.CertificateVerificationError
		alert   tls.AlertError
		record  tls.RecordHeaderError
		unknown x509.UnknownAuthorityError
	)
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the method and URL again
	}
	e := &Error{URL: rawURL, Err: err}
	switch {
	case errors.As(err, &own):
		return &Error{URL: rawURL, Reason: own.Reason, Status: own.Status, Err: own.Err}
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &opErr) && opErr.Op == "dial" && opErr.Timeout():
		e.Reason, e.Err = ReasonTimeout, fmt.Errorf("no connection to %s in time", opErr.Addr)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		e.Reason, e.Err = ReasonTimeout, errors.New("no complete answer in time")
	case errors.As(err, &verify), errors.As(err, &alert), errors.As(err, &record), errors.As(err, &unknown):
		e.Reason = ReasonTLS
	case errors.As(err, &opErr) && opErr.Op == "dial":
		e.Reason = ReasonConnect
	default:
		e.Reason = ReasonProtocol
	}
	return e
}

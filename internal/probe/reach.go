package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"syscall"

	"example.com/certscan/internal/inventory"
)

// connectReach says why a TCP connection was not established.
//
// What the scanner itself lacks is told apart by asking the kernel again, with
// a socket that sends nothing: no route or no source address for the family is
// no_route; the same error from TCP with a route at hand came from a router
// (unreachable), or means that local ports have run out (local_error).
func (j *job) connectReach(to netip.AddrPort, err error) inventory.Reach {
	reach := func(s inventory.ReachStatus, detail string) inventory.Reach {
		return inventory.Reach{Status: s, Detail: detail}
	}
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno {
	case syscall.ECONNREFUSED:
		return reach(inventory.ReachRefused, "")
	case syscall.EAFNOSUPPORT:
		return reach(inventory.ReachNoRoute, errno.Error())
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL:
		own, isErrno := errors.AsType[syscall.Errno](j.p.routed(to))
		switch {
		case isErrno && (own == syscall.ENETUNREACH || own == syscall.EHOSTUNREACH || own == syscall.EADDRNOTAVAIL):
			return reach(inventory.ReachNoRoute, own.Error())
		case errno == syscall.EADDRNOTAVAIL:
			return reach(inventory.ReachLocalError, "no free local port: "+errno.Error())
		}
		return reach(inventory.ReachUnreachable, errno.Error())
	case syscall.EHOSTDOWN, syscall.ENOPROTOOPT:
		return reach(inventory.ReachUnreachable, errno.Error())
	}
	return ioReach(err, "connect")
}

// ioReach says how a connection broke in the named phase.
func ioReach(err error, phase string) inventory.Reach {
	reach := func(s inventory.ReachStatus, detail string) inventory.Reach {
		return inventory.Reach{Status: s, Detail: detail}
	}
	errno, isErrno := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return reach(inventory.ReachEOF, "during "+phase)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errno == syscall.ETIMEDOUT:
		return reach(inventory.ReachTimeout, "during "+phase)
	case !isErrno:
		return reach(inventory.ReachLocalError, phase+": "+err.Error())
	}
	switch errno {
	case syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED:
		return reach(inventory.ReachReset, "during "+phase)
	case syscall.ECONNREFUSED:
		return reach(inventory.ReachRefused, "during "+phase)
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH:
		return reach(inventory.ReachUnreachable, errno.Error()+" during "+phase)
	}
	// EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EACCES, EINVAL, ENETDOWN: none of
	// them can come from the peer.
	return reach(inventory.ReachLocalError, phase+": "+errno.Error())
}

// isBroken reports whether err says that the connection failed, as opposed to
// what was said on it.
func isBroken(err error) bool {
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed)
}

// hungUp reports whether the peer ended the connection.
func hungUp(s inventory.ReachStatus) bool {
	return s == inventory.ReachEOF || s == inventory.ReachReset
}

// remoteAlert returns the alert that a crypto/tls error came from, or -1. The
// library exports neither the alert nor a type to match it with, but it wraps
// an integer of its own.
func remoteAlert(err error) int {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return -1
	}
	if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
		return int(v.Uint())
	}
	return -1
}

package main

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// A notifier tells systemd how the daemon does (sd_notify(3)). Without one it
// tells nobody.
type notifier struct {
	socket string
	every  time.Duration // between two signs of life; 0: none is wanted
}

func newNotifier(env func(string) string) notifier {
	n := notifier{socket: env("NOTIFY_SOCKET")}
	if us, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.every = time.Duration(us) * time.Microsecond / 2
	}
	return n
}

// The states that are told.
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
	notifyAlive    = "WATCHDOG=1"
)

// notifyReloading is told when the configuration is read again, and READY after
// it; systemd wants to know when, by its clock.
func notifyReloading() string { return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic()) }

func (n notifier) tell(state string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", n.socket) // a leading @ is an abstract name, for both
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil { // nobody may be reading
		return fmt.Errorf("notify systemd: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

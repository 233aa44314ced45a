package peers_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"example.com/certscan/internal/inventory"
)

func TestPostfix(t *testing.T) {
	t.Parallel()
	postfix := find(t, "postfix", "postfix")
	needRoot(t, "postfix")
	dir, ca := tempDir(t), newPKI(t)
	l := ca.leaf(t, "mx.example", rsaKey(t))
	cert, key := l.files(t, dir, l.chain()...)
	daemons := filepath.Dir(find(t, "postfix", "smtpd", "/usr/lib/postfix/sbin/smtpd", "/usr/libexec/postfix/smtpd"))
	conf, queue, data := mkdir(t, dir, "conf"), mkdir(t, dir, "queue"), mkdir(t, dir, "data")
	unprivileged(t, "postfix", "postfix").own(t, data)

	port, plain := freePort(t), freePort(t)
	write(t, conf+"/main.cf", fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %s
data_directory = %s
daemon_directory = %s
maillog_file = /dev/stdout
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_cert_file = %s
smtpd_tls_key_file = %s
`, queue, data, daemons, cert, key))
	write(t, conf+"/master.cf", fmt.Sprintf(`127.0.0.1:%d inet n - n - - smtpd
127.0.0.1:%d inet n - n - - smtpd -o smtpd_tls_security_level=none
tlsmgr  unix - - n 1000? 1 tlsmgr
anvil   unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`, port, plain))
	// What "postfix start-fg" does, but the process that is started is the one
	// to stop.
	account{}.run(t, dir, postfix, "-c", conf, "check")
	account{}.serve(t, dir, syscall.SIGTERM, []uint16{port, plain}, daemons+"/master", "-c", conf, "-s")

	agree(t, inventory.SMTP, "mx.example", port, l.chain())
	without(t, inventory.SMTP, plain, inventory.ReachSTARTTLSMissing, "mx.example")
	without(t, inventory.LMTP, port, inventory.ReachNotTLS, "smtp: 220 mx.example ESMTP")
}

func TestDovecot(t *testing.T) {
	t.Parallel()
	dovecot := find(t, "dovecot-imapd", "dovecot")
	find(t, "dovecot-imapd", "imap", "/usr/lib/dovecot/imap", "/usr/libexec/dovecot/imap")
	find(t, "dovecot-pop3d", "pop3", "/usr/lib/dovecot/pop3", "/usr/libexec/dovecot/pop3")
	needRoot(t, "dovecot")
	for _, tt := range []struct {
		name, ssl string
	}{{"with TLS", "yes"}, {"without", "no"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, ca := tempDir(t), newPKI(t)
			l := ca.leaf(t, "mail.example", ecdsaKey(t))
			cert, key := l.files(t, dir, l.chain()...)
			imap, pop3 := freePort(t), freePort(t)
			write(t, dir+"/dovecot.conf", fmt.Sprintf(`protocols = imap pop3
listen = 127.0.0.1
base_dir = %s
state_dir = %s
log_path = /dev/stderr
default_process_limit = 10
mail_location = maildir:%s
ssl = %s
ssl_cert = <%s
ssl_key = <%s
passdb {
  driver = static
  args = nopassword=y
}
service imap-login {
  inet_listener imap {
    port = %d
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  inet_listener pop3 {
    port = %d
  }
  inet_listener pop3s {
    port = 0
  }
}
`, mkdir(t, dir, "run"), mkdir(t, dir, "state"), mkdir(t, dir, "mail"), tt.ssl, cert, key, imap, pop3))
			account{}.serve(t, dir, syscall.SIGTERM, []uint16{imap, pop3}, dovecot, "-F", "-c", dir+"/dovecot.conf")

			if tt.ssl == "no" {
				without(t, inventory.IMAP, imap, inventory.ReachSTARTTLSMissing, "IMAP4rev1")
				without(t, inventory.POP3, pop3, inventory.ReachSTARTTLSMissing, "UIDL")
				return
			}
			agree(t, inventory.IMAP, "mail.example", imap, l.chain())
			agree(t, inventory.POP3, "mail.example", pop3, l.chain())
			without(t, inventory.POP3, imap, inventory.ReachNotTLS, "imap: * OK")
		})
	}
}

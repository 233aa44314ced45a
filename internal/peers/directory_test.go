package peers_test

import (
	"fmt"
	"syscall"
	"testing"

	"example.com/certscan/internal/inventory"
)

func TestSlapd(t *testing.T) {
	t.Parallel()
	slapd := find(t, "slapd", "slapd")
	dir, ca := tempDir(t), newPKI(t)
	l := ca.leaf(t, "ldap.example", rsaKey(t))
	cert, key := l.files(t, dir, l.chain()...)
	for _, tt := range []struct {
		name, settings string
	}{
		{"with TLS", fmt.Sprintf("TLSCertificateFile %s\nTLSCertificateKeyFile %s\n", cert, key)},
		{"without", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, port := tempDir(t), freePort(t)
			write(t, dir+"/slapd.conf", fmt.Sprintf("pidfile %s/pid\nargsfile %s/args\n%s", dir, dir, tt.settings))
			account{}.serve(t, dir, syscall.SIGTERM, []uint16{port}, slapd,
				"-d", "0", "-h", "ldap://"+address(port), "-f", dir+"/slapd.conf")
			if tt.settings == "" {
				without(t, inventory.LDAP, port, inventory.ReachSTARTTLSMissing, "result code 2")
				return
			}
			agree(t, inventory.LDAP, "ldap.example", port, l.chain())
		})
	}
}

func TestVsftpd(t *testing.T) {
	t.Parallel()
	vsftpd := find(t, "vsftpd", "vsftpd")
	needRoot(t, "vsftpd")
	dir, ca := tempDir(t), newPKI(t)
	l := ca.leaf(t, "ftp.example", rsaKey(t))
	cert, key := l.files(t, dir, l.chain()...)
	for _, tt := range []struct{ name, ssl string }{{"with TLS", "YES"}, {"without", "NO"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, port := tempDir(t), freePort(t)
			write(t, dir+"/vsftpd.conf", fmt.Sprintf(`listen=YES
listen_ipv6=NO
listen_address=127.0.0.1
listen_port=%d
background=NO
anonymous_enable=YES
ftp_username=nobody
nopriv_user=nobody
secure_chroot_dir=%s
ssl_enable=%s
rsa_cert_file=%s
rsa_private_key_file=%s
`, port, mkdir(t, dir, "empty"), tt.ssl, cert, key))
			account{}.serve(t, dir, syscall.SIGTERM, []uint16{port}, vsftpd, dir+"/vsftpd.conf")
			if tt.ssl == "NO" {
				without(t, inventory.FTP, port, inventory.ReachSTARTTLSRefused, "530")
				return
			}
			agree(t, inventory.FTP, "ftp.example", port, l.chain())
			without(t, inventory.SMTP, port, inventory.ReachNotTLS, "ftp: 220 (vsFTPd")
		})
	}
}

package peers_test

import (
	"strconv"
	"syscall"
	"testing"

	"example.com/certscan/internal/inventory"
)

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	initdb := find(t, "postgresql", "initdb", "/usr/lib/postgresql/*/bin/initdb")
	postgres := find(t, "postgresql", "postgres", "/usr/lib/postgresql/*/bin/postgres")
	user := unprivileged(t, "postgresql", "postgres") // root may not run it
	for _, ssl := range []string{"on", "off"} {
		t.Run("ssl="+ssl, func(t *testing.T) {
			t.Parallel()
			dir, ca, port := tempDir(t), newPKI(t), freePort(t)
			l := ca.leaf(t, "db.example", ecdsaKey(t))
			cert, key := l.files(t, dir, l.chain()...)
			user.own(t, dir)
			user.run(t, dir, initdb, "-D", dir+"/data", "-A", "trust", "-U", "postgres", "--no-locale", "--no-sync")
			user.serve(t, dir, syscall.SIGINT, []uint16{port}, postgres, "-D", dir+"/data", "-p", strconv.Itoa(int(port)),
				"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off",
				"-c", "ssl="+ssl, "-c", "ssl_cert_file="+cert, "-c", "ssl_key_file="+key)
			if ssl == "off" {
				without(t, inventory.Postgres, port, inventory.ReachSTARTTLSMissing, "N")
				return
			}
			agree(t, inventory.Postgres, "db.example", port, l.chain())
		})
	}
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	install := find(t, "mariadb-server", "mariadb-install-db")
	mariadbd := find(t, "mariadb-server", "mariadbd")
	user := unprivileged(t, "mariadb-server", "mysql")
	for _, ssl := range []string{"on", "off"} {
		t.Run("ssl="+ssl, func(t *testing.T) {
			t.Parallel()
			dir, ca, port := tempDir(t), newPKI(t), freePort(t)
			l := ca.leaf(t, "db.example", rsaKey(t))
			cert, key := l.files(t, dir, l.chain()...)
			data := mkdir(t, dir, "data")
			user.own(t, dir)
			user.run(t, dir, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal",
				"--skip-test-db", "--innodb-flush-method=nosync")
			user.serve(t, dir, syscall.SIGTERM, []uint16{port}, mariadbd, "--no-defaults", "--datadir="+data,
				"--socket="+dir+"/s", "--bind-address=127.0.0.1", "--port="+strconv.Itoa(int(port)),
				"--innodb-flush-method=nosync", "--ssl-cert="+cert, "--ssl-key="+key, "--ssl="+ssl)
			if ssl == "off" {
				without(t, inventory.MySQL, port, inventory.ReachSTARTTLSMissing, "MariaDB")
				return
			}
			agree(t, inventory.MySQL, "db.example", port, l.chain())
		})
	}
}

package evidence

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"

	"example.com/certscan/internal/inventory"
)

// The names of the stores that are not files.
const (
	StoreSystem  = "system"
	StoreMozilla = "mozilla"
)

const (
	maxStoreBytes   = 16 << 20 // of one file
	maxStoreEntries = 20_000   // files of one directory
)

// mozillaModule carries Mozilla's roots; its version is a date. mozillaVersion
// is what go.mod asks for, for binaries that do not know what they were built
// of, such as those of go test; a test keeps the two the same.
const (
	mozillaModule  = "golang.org/x/crypto/x509roots/fallback"
	mozillaVersion = "v0.0.0-20261030153154-30a33513ff6d"
)

// StoreOptions say how trust stores are read.
type StoreOptions struct {
	// Decode returns the certificates of a PEM, DER or PKCS #7 file. Required
	// for stores that are files.
	Decode func(data []byte) ([][]byte, error)

	Getenv func(string) string // for SSL_CERT_FILE and SSL_CERT_DIR; defaults to os.Getenv
	GOOS   string              // defaults to runtime.GOOS
}

// Stores returns the named trust stores in order, each once: "system",
// "mozilla", or the path of a file or directory of certificates. Without a spec
// it is the system's.
//
// A store is returned whole or not at all: a store with a part missing would
// call good chains bad. Roots are not judged here, and certscan's own list of
// distrusted ones is not applied: both are for the verdict to say.
func Stores(specs []string, opt StoreOptions) ([]inventory.TrustStore, error) {
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	if opt.GOOS == "" {
		opt.GOOS = runtime.GOOS
	}
	if len(specs) == 0 {
		specs = []string{StoreSystem}
	}
	var stores []inventory.TrustStore
	seen := make(map[string]bool)
	for _, spec := range specs {
		store, err := opt.store(spec)
		if err != nil {
			return nil, fmt.Errorf("trust store %q: %w", spec, err)
		}
		if !seen[store.Name] {
			seen[store.Name] = true
			stores = append(stores, store)
		}
	}
	return stores, nil
}

// Infos returns the names and dates of stores, as reports and the version
// command print them.
func Infos(stores []inventory.TrustStore) []inventory.StoreInfo {
	infos := make([]inventory.StoreInfo, 0, len(stores))
	for _, s := range stores {
		info := inventory.StoreInfo{Name: s.Name, Date: s.Date, Note: s.Note, Only: s.Only}
		for _, sel := range s.For {
			info.For = append(info.For, sel.String())
		}
		infos = append(infos, info)
	}
	return infos
}

func (opt StoreOptions) store(spec string) (inventory.TrustStore, error) {
	switch spec {
	case StoreSystem:
		return opt.system()
	case StoreMozilla:
		return mozilla(), nil
	case "":
		return inventory.TrustStore{}, errors.New("the name is empty; it is system, mozilla, or a file")
	}
	return opt.file(spec)
}

// mozilla is the set that certscan was built with. Constraints, such as the
// date after which a root's new certificates are distrusted, come with it.
func mozilla() inventory.TrustStore {
	s := inventory.TrustStore{Name: StoreMozilla, Date: versionDate(builtWith(mozillaModule, mozillaVersion)), Public: true}
	for root := range bundle.Roots() {
		s.Anchors = append(s.Anchors, inventory.Anchor{DER: root.Certificate, Constraint: root.Constraint})
	}
	return s
}

// builtWith is the version of the module in this binary.
func builtWith(module, otherwise string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return otherwise
	}
	for _, m := range info.Deps {
		if m.Path == module && m.Replace != nil {
			return m.Replace.Version
		} else if m.Path == module {
			return m.Version
		}
	}
	return otherwise
}

// versionDate is the day of a pseudo-version, which ends with
// yyyymmddhhmmss-revision; "" of any other version.
func versionDate(version string) string {
	parts := strings.Split(version, "-")
	if len(parts) < 3 {
		return ""
	}
	stamp := parts[len(parts)-2]
	t, err := time.Parse("20060102150405", stamp[strings.LastIndexByte(stamp, '.')+1:])
	if err != nil {
		return ""
	}
	return t.Format(time.DateOnly)
}

// system reads the roots where crypto/x509 does, because x509.SystemCertPool
// hands out neither certificates nor dates.
func (opt StoreOptions) system() (inventory.TrustStore, error) {
	files, dirs := systemPaths(opt.GOOS)
	if len(files) == 0 {
		return instead("the roots of " + opt.GOOS + " cannot be listed"), nil
	}
	if f := opt.Getenv("SSL_CERT_FILE"); f != "" {
		files = []string{f}
	}
	if d := opt.Getenv("SSL_CERT_DIR"); d != "" {
		dirs = strings.Split(d, ":")
	}
	c := newCollector(decodePEM)
	var firstErr error
	for _, f := range files {
		err := c.file(f)
		if err == nil {
			break
		}
		firstErr = notMissing(firstErr, err)
	}
	for _, d := range dirs {
		firstErr = notMissing(firstErr, c.dir(d))
	}
	switch {
	case len(c.anchors) > 0:
		s := c.store(StoreSystem)
		s.Public = true
		s.Date = c.contentDate()
		return s, nil
	case firstErr != nil:
		return inventory.TrustStore{}, firstErr
	}
	return instead("the system has no roots where Go looks for them"), nil
}

// instead is what stands in for a system store that cannot be had. It goes by
// its own name, so that no verdict claims what the system would have said.
func instead(why string) inventory.TrustStore {
	s := mozilla()
	s.Note = fmt.Sprintf("%s: the mozilla roots of %s that certscan was built with are used instead", why, s.Date)
	return s
}

func notMissing(first, err error) error {
	if first != nil || err == nil || errors.Is(err, os.ErrNotExist) || errors.Is(err, errNoRoots) {
		return first
	}
	return err
}

// file is a store of the company's own.
func (opt StoreOptions) file(path string) (inventory.TrustStore, error) {
	if opt.Decode == nil {
		return inventory.TrustStore{}, errors.New("stores in files need a decoder")
	}
	c := newCollector(opt.decodeAny)
	c.strict = true
	st, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return inventory.TrustStore{}, errors.New("no such file; a trust store is system, mozilla, or a file or directory of certificates")
	} else if err != nil {
		return inventory.TrustStore{}, err
	}
	if st.IsDir() {
		err = c.dir(path)
	} else {
		err = c.file(path)
	}
	if err != nil {
		return inventory.TrustStore{}, err
	}
	return c.store(path), nil
}

// decodeAny refuses OpenSSL's trusted certificates: what follows the
// certificate in them may say that it is not to be trusted.
func (opt StoreOptions) decodeAny(data []byte) ([][]byte, error) {
	if bytes.Contains(data, []byte("-----BEGIN TRUSTED CERTIFICATE-----")) {
		return nil, errors.New("has OpenSSL TRUSTED CERTIFICATE blocks, whose trust settings are not read; give a file with CERTIFICATE blocks")
	}
	return opt.Decode(data)
}

// decodePEM reads what crypto/x509 would of a system's file.
func decodePEM(data []byte) ([][]byte, error) {
	var ders [][]byte
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" && len(block.Headers) == 0 {
			ders = append(ders, block.Bytes)
		}
	}
	return ders, nil
}

var errNoRoots = errors.New("no certificate in it")

// A collector gathers the anchors of files.
type collector struct {
	decode  func([]byte) ([][]byte, error)
	anchors []inventory.Anchor
	seen    map[inventory.Fingerprint]bool
	strict  bool           // a file in a directory that is called a certificate has to be one
	newest  time.Time      // of the files with anchors
	singles map[string]int // files with one certificate alone, by date
}

func newCollector(decode func([]byte) ([][]byte, error)) *collector {
	return &collector{decode: decode, seen: make(map[inventory.Fingerprint]bool), singles: make(map[string]int)}
}

func (c *collector) store(name string) inventory.TrustStore {
	return inventory.TrustStore{Name: name, Date: date(c.newest), Anchors: c.anchors}
}

// contentDate is when the roots of a system last changed. A bundle is written
// anew at every installation; but where there is also a file for each root, as
// on Debian, those keep the date of the package, a few local ones aside. So it
// is the date that most of them have.
func (c *collector) contentDate() string {
	best, most := date(c.newest), 1
	for day, n := range c.singles {
		if n > most || n == most && n > 1 && day > best {
			best, most = day, n
		}
	}
	return best
}

// file adds the certificates of one file. It is errNoRoots if there is none.
func (c *collector) file(path string) error {
	st, err := os.Stat(path) // first: to open a pipe may wait for ever
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxStoreBytes+1))
	if err != nil {
		return err
	}
	if len(data) > maxStoreBytes {
		return fmt.Errorf("larger than %d MiB", maxStoreBytes>>20)
	}
	ders, err := c.decode(data)
	if err != nil {
		return err
	}
	if len(ders) == 0 {
		return errNoRoots
	}
	for _, der := range ders {
		if id := inventory.FingerprintOf(der); !c.seen[id] {
			c.seen[id] = true
			c.anchors = append(c.anchors, inventory.Anchor{DER: der})
		}
	}
	c.newest = later(c.newest, st.ModTime())
	if len(ders) == 1 {
		c.singles[date(st.ModTime())]++
	}
	return nil
}

// dir adds the certificates of every file in the directory. It is errNoRoots if
// there is none.
func (c *collector) dir(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	if len(entries) > maxStoreEntries {
		return fmt.Errorf("%s has more than %d files", path, maxStoreEntries)
	}
	for _, e := range entries {
		if e.IsDir() || sameDirLink(path, e) {
			continue
		}
		err := c.file(filepath.Join(path, e.Name()))
		if err != nil && c.strict && slices.Contains([]string{".pem", ".crt", ".cer", ".der"}, filepath.Ext(e.Name())) {
			return fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	if len(c.anchors) == 0 {
		return fmt.Errorf("%w, nor in any of its files", errNoRoots)
	}
	return nil
}

// sameDirLink reports whether e is one of OpenSSL's hash links to a neighbour.
func sameDirLink(dir string, e os.DirEntry) bool {
	if e.Type()&os.ModeSymlink == 0 {
		return false
	}
	target, err := os.Readlink(filepath.Join(dir, e.Name()))
	return err == nil && !strings.Contains(target, "/")
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// systemPaths are the places of crypto/x509 (root_linux.go, root_bsd.go), none
// for systems that keep their roots elsewhere than in files.
func systemPaths(goos string) (files, dirs []string) {
	switch goos {
	case "linux":
		return []string{
			"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo
			"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
			"/etc/ssl/ca-bundle.pem",                            // OpenSUSE
			"/etc/pki/tls/cacert.pem",                           // OpenELEC
			"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS, RHEL 7
			"/etc/ssl/cert.pem",                                 // Alpine
		}, []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}
	case "freebsd", "openbsd", "netbsd", "dragonfly":
		return []string{
			"/usr/local/etc/ssl/cert.pem",
			"/etc/ssl/cert.pem",
			"/usr/local/share/certs/ca-root-nss.crt",
			"/etc/openssl/certs/ca-certificates.crt",
		}, []string{"/etc/ssl/certs", "/usr/local/share/certs", "/etc/openssl/certs"}
	}
	return nil, nil
}

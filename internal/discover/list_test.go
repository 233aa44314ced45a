package discover_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
)

// result is what a list gave, in a form that a table can hold.
type result struct {
	Targets  []string // key, then labels
	Problems []string // the whole message
	End      string   // the error at the end
}

func readAll(name string, r io.Reader, opt discover.Options) result {
	var got result
	for t, err := range discover.Read(name, r, opt) {
		if p, ok := errors.AsType[*discover.Problem](err); ok {
			got.Problems = append(got.Problems, p.Error())
			continue
		}
		if err != nil {
			got.End = err.Error()
			continue
		}
		text := t.Key()
		for _, name := range []string{"owner", "environment", "platform", "team", "Cost Center", "notes", "name", "job"} {
			if v, ok := t.Labels[name]; ok {
				text += fmt.Sprintf(" %s=%s", name, v)
			}
		}
		got.Targets = append(got.Targets, text)
	}
	return got
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, text string
		opt              discover.Options
		want             result
	}{
		{
			name: "a plain list with comments", file: "domains.txt",
			text: "# ours\n\na.example   # shop\r\nb.example:8443#x\n  \n[2001:db8::7]:443\nhttps://c.example/#top",
			want: result{Targets: []string{"a.example:443", "b.example:8443", "[2001:db8::7]:443", "c.example:443"}},
		},
		{
			name: "a bad row has its line and the rest goes on", file: "domains.txt",
			text: "a.example\n*.b.example\nc.example d.example\ne.example\n",
			want: result{Targets: []string{"a.example:443", "e.example:443"}, Problems: []string{
				`domains.txt:2: target "*.b.example": a wildcard names no server to connect to: list the names that are in use`,
				`domains.txt:3: target "c.example d.example": has a space or a control character in it: write one target a line`,
			}},
		},
		{
			name: "a list of IPv6 addresses is not JSON", file: "-",
			text: "[2001:db8::7]:443\n[2001:db8::8]\n",
			want: result{Targets: []string{"[2001:db8::7]:443", "[2001:db8::8]:443"}},
		},
		{
			name: "a byte order mark is not part of a name", file: "domains.txt", text: "\xef\xbb\xbfa.example\n",
			want: result{Targets: []string{"a.example:443"}},
		},
		{
			name: "UTF-16 is told by its name", file: "domains.txt", text: "\xff\xfea\x00.\x00b\x00",
			want: result{End: "domains.txt: is UTF-16 text: save it as UTF-8"},
		},
		{
			name: "an empty list is an error", file: "domains.txt", text: "# nothing yet\n",
			want: result{End: "domains.txt: no target in it"},
		},
		{
			name: "a header alone", file: "a.csv", text: "host,=owner\n\n",
			want: result{End: `a.csv: no target in it: there is no row below the header "host,=owner"`},
		},
		{
			name: "a header that has eaten the rows", file: "a.csv", text: "host,\"=owner\na.example,x\"\n",
			want: result{End: "a.csv: no target in it: a quotation mark in the header of line 1 closes only in line 2, and there is no row below"},
		},
		{
			name: "a list of bad rows is an error", file: "-", text: "*.a\n*.b\n",
			want: result{
				Problems: []string{
					`standard input:1: target "*.a": a wildcard names no server to connect to: list the names that are in use`,
					`standard input:2: target "*.b": a wildcard names no server to connect to: list the names that are in use`,
				},
				End: "standard input: no usable target: all 2 rows are wrong",
			},
		},
		{
			name: "a row too long is skipped", file: "domains.txt", text: "a.example\n" + strings.Repeat("x", 200<<10) + "\nb.example",
			want: result{Targets: []string{"a.example:443", "b.example:443"}, Problems: []string{
				"domains.txt:2: the row is longer than 65536 octets and was skipped",
			}},
		},
		{
			name: "a default protocol", file: "mx.txt", opt: discover.Options{Protocol: inventory.SMTP}, text: "mx.example\nhttps://www.example\n",
			want: result{Targets: []string{"smtp://mx.example:25", "www.example:443"}},
		},

		{
			name: "CSV with known and unknown columns", file: "fleet.csv",
			text: "Host,Port,Protocol,IP,Team,env,Cost Center\na.example,,,,web,prod,7\nb.example,587,smtp,192.0.2.7,mail,,\n",
			want: result{Targets: []string{
				"a.example:443 owner=web environment=prod Cost Center=7", "smtp://b.example@192.0.2.7:587 owner=mail",
			}},
		},
		{
			name: "CSV by content, with semicolons, quotes and line ends in cells", file: "-",
			text: "target;owner;notes\n\"a.example:8443\";\"Web; \"\"A\"\" team\";\"first\nsecond\"\n\nb.example;ops;\n",
			want: result{Targets: []string{"a.example:8443 owner=Web; \"A\" team notes=first\nsecond", "b.example:443 owner=ops"}},
		},
		{
			name: "CSV with tabs and empty cells at the end", file: "fleet.tsv", text: "fqdn\towner\na.example\tweb\t\t\n\t\n",
			want: result{Targets: []string{"a.example:443 owner=web"}},
		},
		{
			name: "the most telling column is the host", file: "fleet.csv", text: "name,host\nShop front,a.example\n",
			want: result{Targets: []string{"a.example:443 name=Shop front"}},
		},
		{
			name: "owner and team side by side stay apart", file: "fleet.csv", text: "host,team,owner\na.example,web,carol\nb.example,web,\n",
			want: result{Targets: []string{"a.example:443 owner=carol team=web", "b.example:443 owner=web"}},
		},
		{
			name: "CSV rows that do not fit", file: "fleet.csv",
			text: "host,port\na.example\nb.example,443,x\nc.example,70000\n,443\nd.example:1,2\ne.example,443\n",
			want: result{Targets: []string{"e.example:443"}, Problems: []string{
				"fleet.csv:2: the row has 1 cells and the header 2",
				"fleet.csv:3: the row has 3 cells and the header 2",
				`fleet.csv:4: target "c.example": port "70000" is not a number from 1 to 65535`,
				`fleet.csv:5: target "": empty: write a host name or an IP address`,
				`fleet.csv:6: target "d.example:1": has port "1" in the target and "2" beside it`,
			}},
		},
		{
			name: "a quotation mark that is never closed costs its row only", file: "fleet.csv",
			text: "host,owner\na.example,\"web\nb.example,ops\nc.example,5\" disk\nd.example,ops\n",
			want: result{Targets: []string{"b.example:443 owner=ops", "d.example:443 owner=ops"}, Problems: []string{
				`fleet.csv:2: at octet 12: extraneous or missing " in quoted-field (a quotation mark inside a cell is written twice, and the cell in quotation marks)`,
				`fleet.csv:4: at octet 12: bare " in non-quoted-field (a quotation mark inside a cell is written twice, and the cell in quotation marks)`,
			}},
		},
		{
			name: "CSV without a usable header", file: "fleet.csv", text: "a.example,web\n",
			want: result{End: `fleet.csv: line 1: the first line of a CSV file must name its columns, and one of them target, host, hostname, fqdn, domain, name; this one has "a.example,web"`},
		},
		{
			name: "CSV from a spreadsheet that is not UTF-8 keeps its hosts", file: "fleet.csv", text: "host,owner\na.example,M\xfcller\n",
			want: result{Targets: []string{"a.example:443 owner=M\uFFFDller"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, readAll(tt.file, strings.NewReader(tt.text), tt.opt)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			slow := readAll(tt.file, iotest.OneByteReader(strings.NewReader(tt.text)), tt.opt)
			if diff := cmp.Diff(tt.want, slow); diff != "" {
				t.Errorf("octet by octet (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadStructured(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, text string
		want             result
	}{
		{
			name: "YAML list of strings", file: "fleet.yaml", text: "# ours\n---\n- a.example\n- b.example:8443 # b\n- 192.0.2.7\n- '[2001:db8::7]:443'\n- 2001:db8::8\n",
			want: result{Targets: []string{"a.example:443", "b.example:8443", "192.0.2.7:443", "[2001:db8::7]:443", "[2001:db8::8]:443"}},
		},
		{
			name: "YAML list of mappings", file: "fleet.yml",
			text: "- host: a.example\n  port: 8443\n  address: 192.0.2.7\n  labels: {team: web, job: x}\n- target: smtp://b.example\n  owner: mail\n",
			want: result{Targets: []string{"a.example@192.0.2.7:8443 owner=web job=x", "smtp://b.example:25 owner=mail"}},
		},
		{
			name: "YAML mapping with targets, by content", file: "-", text: "targets:\n- a.example\n- host: b.example\n  labels: {owner: ops}\nlabels:\n  owner: web\n",
			want: result{Targets: []string{"a.example:443 owner=web", "b.example:443 owner=ops"}},
		},
		{
			name: "YAML entries that are wrong cost themselves", file: "fleet.yaml",
			text: "- a.example\n- [2001:db8::7]:443\n- {host: b.example, prot: smtp}\n- *alias\n-\n- [x, y]\n- host: c.example\n  host: d.example\n- port: 443\n- e.example\n",
			want: result{Targets: []string{"a.example:443", "e.example:443"}, Problems: []string{
				`fleet.yaml:2: not YAML: value is not allowed in this context (an IPv6 address in brackets needs quotation marks)`,
				`fleet.yaml:3: unknown key "prot": known are target, host, port, protocol, address, labels, owner, environment and platform; others belong under labels`,
				`fleet.yaml:4: aliases (*name) are not read: write the value out`,
				`fleet.yaml:5: an empty entry is not a target`,
				`fleet.yaml:6: a list is not a target (an IPv6 address in brackets needs quotation marks: '[2001:db8::7]:443')`,
				`fleet.yaml:8: key "host" is there twice`,
				`fleet.yaml:9: has no target: write one under the key target or host`,
			}},
		},
		{
			name: "YAML lines are counted across entries", file: "fleet.yaml", text: "- a.example\n\n- targets:\n  - b.example\n  - '*.c.example'\n",
			want: result{Targets: []string{"a.example:443", "b.example:443"}, Problems: []string{
				`fleet.yaml:5: target "*.c.example": a wildcard names no server to connect to: list the names that are in use`,
			}},
		},
		{
			name: "several YAML documents", file: "fleet.yaml", text: "- a.example\n---\ntargets: [b.example]\n...\n---\n- c.example\n",
			want: result{Targets: []string{"a.example:443", "b.example:443", "c.example:443"}},
		},
		{
			name: "file_sd YAML", file: "sd.yml", text: "- targets: ['a.example:9090', 'https://b.example/health']\n  labels: {job: web, __meta_x: y, __scheme__: https}\n",
			want: result{Targets: []string{"a.example:9090 job=web", "b.example:443 job=web"}},
		},
		{
			name: "file_sd JSON", file: "sd.json",
			text: "[\n {\"targets\": [\"a.example:9090\",\n  \"b.example*\"], \"labels\": {\"job\": \"web\", \"__x\": \"y\", \"env\": \"prod\"}},\n {\"targets\": [\"mx.example\"], \"labels\": {\"__scheme__\": \"smtp\"}}\n]\n",
			want: result{Targets: []string{"a.example:9090 environment=prod job=web", "smtp://mx.example:25"}, Problems: []string{
				`sd.json:3: target "b.example*": a wildcard names no server to connect to: list the names that are in use`,
			}},
		},
		{
			name: "JSON list of strings by content", file: "-", text: `["[2001:db8::7]:443", "a.example"]`,
			want: result{Targets: []string{"[2001:db8::7]:443", "a.example:443"}},
		},
		{
			name: "file_sd that says http has no certificates", file: "sd.json", text: `[{"targets":["a.example:80"],"labels":{"__scheme__":"http"}},{"targets":["b.example"]}]`,
			want: result{Targets: []string{"b.example:443"}, Problems: []string{
				`sd.json:1: target "a.example:80": http has no certificate: write https:// or the host name alone`,
			}},
		},
		{
			name: "an empty file_sd list", file: "sd.json", text: "[]",
			want: result{End: "sd.json: no target in it"},
		},
		{
			name: "JSON that breaks off keeps what came before", file: "sd.json", text: "[{\"targets\": [\"a.example\"]},\n{\"targets\": [",
			want: result{Targets: []string{"a.example:443"}, End: "sd.json: line 2: the JSON text ends too early"},
		},
		{
			name: "JSON that is none", file: "sd.json", text: "[\n\"a.example\",\n}",
			want: result{Targets: []string{"a.example:443"}, End: "sd.json: line 3: invalid character '}' looking for beginning of value"},
		},
		{
			name: "JSON nested too deep", file: "sd.json", text: strings.Repeat("[", 100),
			want: result{End: "sd.json: line 1: is nested more than 16 deep"},
		},
		{
			name: "YAML nested too deep", file: "sd.yaml", text: "- a.example\n- " + strings.Repeat("[", 60000) + "\n- " + strings.Repeat("- ", 30000) + "\n",
			want: result{Targets: []string{"a.example:443"}, Problems: []string{
				"sd.yaml:2: is nested more than 100 deep", "sd.yaml:3: is nested more than 100 deep",
			}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, readAll(tt.file, strings.NewReader(tt.text), discover.Options{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "domains.txt")
	if err := os.WriteFile(name, []byte("a.example\nb.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for got, err := range discover.ReadFile(name, discover.Options{}) {
		want := inventory.Target{Host: "a.example", Port: 443, Protocol: inventory.TLS, Sources: []string{"file:" + name}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("error %v (-want +got):\n%s", err, diff)
		}
		break // must be allowed
	}
	for _, err := range discover.ReadFile(name+".missing", discover.Options{}) {
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error of a missing file: %v", err)
		}
	}
}

func TestReadReportsReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, name := range []string{"a.txt", "a.csv", "a.yaml", "a.json"} {
		text := map[string]string{"a.txt": "a.example\n", "a.csv": "host\na.example\n", "a.yaml": "- a.example\n", "a.json": `["a.example",`}[name]
		got := readAll(name, io.MultiReader(strings.NewReader(text+strings.Repeat(" ", 8<<10)), iotest.ErrReader(broken)), discover.Options{})
		if !strings.Contains(got.End, broken.Error()) {
			t.Errorf("%s: %+v, want the read error at the end", name, got)
		}
	}
}

func fuzzRead(f *testing.F, name string, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		targets, end := 0, error(nil)
		for got, err := range discover.Read(name, strings.NewReader(text), discover.Options{}) {
			if end != nil {
				t.Fatalf("something came after the end %v", end)
			}
			if p, ok := errors.AsType[*discover.Problem](err); ok {
				if p.Line < 1 || p.Line > strings.Count(text, "\n")+1 {
					t.Fatalf("a problem outside of the file: %v", p)
				}
				continue
			}
			if end = err; err != nil {
				continue
			}
			targets++
			if again, err := discover.ParseTarget(got.Key()); err != nil || again.Key() != got.Key() {
				t.Fatalf("key %q does not parse to itself: %v, %v", got.Key(), again, err)
			}
		}
		if targets == 0 && end == nil {
			t.Fatal("no target and no error")
		}
	})
}

func FuzzRead(f *testing.F) {
	fuzzRead(f, "-", "a.example # x\n", "host,port\na,1\n", "- a\n- b: c\n", `[{"targets":["a"]}]`, "targets:\n- a\n", "[2001:db8::7]\n")
}

func FuzzReadCSV(f *testing.F) {
	fuzzRead(f, "f.csv", "host,port,owner\na.example,443,\"x\ny\"\n", "target;team\n\"a\"\"b\";c\n", "host\n\"\n\"\n\"a", "fqdn\tip\na\t::1\n")
}

func FuzzReadYAML(f *testing.F) {
	fuzzRead(f, "f.yaml", "- a.example\n- host: b\n  labels: {x: y}\n", "targets: [a]\n---\n- !!str b\n", "- &a b\n- *a\n- |\n  c\n", "? a\n: b\n", "- <<: *x\n")
}

func FuzzReadJSON(f *testing.F) {
	fuzzRead(f, "f.json", `[{"targets":["a"],"labels":{"x":"y"}}]`, `{"targets":[{"host":"a","port":1}]}`, `["a",null,1,true]`)
}

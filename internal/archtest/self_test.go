package archtest_test

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// The bans have to see what they ban.
func TestViolations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		path string
		src  string
		want string
	}{
		{"init", "internal/x/x.go", "package x\nfunc init() {}", "internal/x/x.go:2: no init"},
		{"a method called init", "internal/x/x.go", "package x\ntype T int\nfunc (T) init() {}", ""},
		{"panic", "internal/x/x.go", "package x\nfunc f() { panic(1) }", "no panic"},
		{"panic in a test", "internal/x/x_test.go", "package x\nfunc f() { panic(1) }", ""},
		{"fmt.Println", "internal/x/x.go", "package x\nimport \"fmt\"\nfunc f() { fmt.Println(1) }", "x.go:3: no fmt.Println"},
		{"fmt under another name", "internal/x/x.go", "package x\nimport p \"fmt\"\nfunc f() { p.Print(1) }", "no fmt.Print"},
		{"fmt.Fprintln", "internal/x/x.go", "package x\nimport \"fmt\"\nfunc f() { fmt.Fprintln(w, 1) }", ""},
		{"the global logger", "internal/x/x.go", "package x\nimport \"log\"\nfunc f() { log.Printf(`x`) }", "no log.Printf"},
		{"a logger called log", "internal/x/x.go", "package x\nfunc f() { log.Printf(`x`) }", ""},
		{"the global slog", "internal/x/x.go", "package x\nimport \"log/slog\"\nfunc f() { slog.InfoContext(c, `x`) }", "no slog.InfoContext"},
		{"os.Exit", "internal/x/x.go", "package x\nimport \"os\"\nfunc f() { os.Exit(1) }", "no os.Exit"},
		{"os.Exit in main", "cmd/certscan/main.go", "package main\nimport \"os\"\nfunc main() { os.Exit(1) }", ""},
		{"sleeping", "internal/x/x.go", "package x\nimport \"time\"\nfunc f() { time.Sleep(1) }", "no time.Sleep"},
		{"sleeping in a test", "internal/x/x_test.go", "package x\nimport \"time\"\nfunc f() { time.Sleep(1) }", "no time.Sleep"},
		{"sleeping in fake time", "internal/x/x_test.go", "package x\nimport (\"time\"; \"testing/synctest\")\nfunc f() { time.Sleep(1) }", ""},
		{"skipping", "internal/x/x_test.go", "package x\nfunc f(t *testing.T) { t.Skipf(`x`) }", "no t.Skipf"},
		{"skipping where the peer is not installed", "internal/peers/x_test.go", "package x\nfunc f(t *testing.T) { t.Skipf(`x`) }", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := file{path: tt.path, pkg: tt.path[:strings.LastIndexByte(tt.path, '/')], test: strings.HasSuffix(tt.path, "_test.go"), fset: token.NewFileSet()}
			var err error
			if f.ast, err = parser.ParseFile(f.fset, tt.path, tt.src, 0); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(violations(f), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("violations = %q, want %q", got, tt.want)
			}
		})
	}
}

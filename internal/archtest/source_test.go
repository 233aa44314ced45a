package archtest_test

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

const (
	maxFileLines     = 500
	maxFunctionLines = 80
)

// exceptions are the files and functions that may be longer, each with its
// reason: "internal/x/y.go" or "internal/x/y.go Type.Method". An entry that is
// not needed any more has to go.
func exceptions() map[string]string {
	return map[string]string{}
}

func TestDocComments(t *testing.T) {
	t.Parallel()
	documented := make(map[string]bool)
	for _, f := range tree(t) {
		documented[f.pkg] = documented[f.pkg] || f.ast.Doc != nil && strings.TrimSpace(f.ast.Doc.Text()) != ""
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment: say what it is for, what it refuses to do, and its invariant", pkg)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	allow := exceptions()
	used := make(map[string]bool)
	check := func(name string, got, limit int) {
		if got <= limit {
			return
		}
		used[name] = true
		if allow[name] == "" {
			t.Errorf("%s has %d lines, more than %d: split it, or give the reason in exceptions", name, got, limit)
		}
	}
	for _, f := range tree(t) {
		if f.test {
			continue // tables may be long
		}
		check(f.path, f.fset.File(f.ast.Pos()).LineCount(), maxFileLines)
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				check(f.path+" "+functionName(fn), f.lines(fn), maxFunctionLines)
			}
		}
	}
	for name := range allow {
		if !used[name] {
			t.Errorf("exception %q is not needed any more", name)
		}
	}
}

func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	recv := fn.Recv.List[0].Type
	if star, ok := recv.(*ast.StarExpr); ok {
		recv = star.X
	}
	return fmt.Sprint(recv) + "." + fn.Name.Name
}

// A ban is something that a file must not do.
type ban struct {
	call   string // "package.Function", where a name may end with *
	reason string
	in     func(f file) bool // where it holds
}

func bans() []ban {
	code := func(f file) bool { return !f.test }
	return []ban{
		{"panic", "return an error", code},
		{"print", "write to the writer that was given", code},
		{"println", "write to the writer that was given", code},
		{"fmt.Print*", "write to the writer that was given", func(f file) bool { return !f.test && f.pkg != "internal/bench" && f.pkg != "internal/soak" }},
		{"os.Exit", "return an error; only main knows about exit statuses", func(f file) bool {
			return !f.test && f.path != "cmd/certscan/main.go" && f.path != "internal/bench/main.go" && f.path != "internal/soak/main.go"
		}},
		{"log.*", "log through the *slog.Logger that was given", code},
		{"slog.Debug*", "log through the *slog.Logger that was given", code},
		{"slog.Info*", "log through the *slog.Logger that was given", code},
		{"slog.Warn*", "log through the *slog.Logger that was given", code},
		{"slog.Error*", "log through the *slog.Logger that was given", code},
		{"slog.Default", "log through the *slog.Logger that was given", code},
		{"slog.SetDefault", "log through the *slog.Logger that was given", code},
		{"time.Sleep", "wait for what you wait for, with a context; in tests use fake time (testing/synctest)", func(f file) bool { return !usesFakeTime(f) }},
		{"t.Skip*", "a test that does not run proves nothing", func(f file) bool {
			return f.test && f.pkg != "internal/peers" // real servers, which CI requires
		}},
		{"testing.Short", "a test that does not run proves nothing", func(f file) bool { return f.test }},
	}
}

// usesFakeTime reports whether f is a test in whose bubbles sleeping costs
// nothing.
func usesFakeTime(f file) bool {
	return f.test && slices.ContainsFunc(f.ast.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` })
}

func TestBans(t *testing.T) {
	t.Parallel()
	for _, f := range tree(t) {
		for _, p := range violations(f) {
			t.Error(p)
		}
	}
}

// violations lists what f does and must not.
func violations(f file) []string {
	var found []string
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && !f.test && fn.Recv == nil && fn.Name.Name == "init" {
			found = append(found, fmt.Sprintf("%s:%d: no init: let the caller say when", f.path, f.line(fn)))
		}
	}
	shadowed := packageNames(f)
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := calleeOf(call, shadowed)
		for _, b := range bans() {
			prefix, wild := strings.CutSuffix(b.call, "*")
			if (name == b.call || wild && strings.HasPrefix(name, prefix)) && b.in(f) {
				found = append(found, fmt.Sprintf("%s:%d: no %s: %s", f.path, f.line(call), name, b.reason))
			}
		}
		return true
	})
	return found
}

// packageNames maps the names that f gives to packages to their paths.
func packageNames(f file) map[string]string {
	names := make(map[string]string)
	for _, spec := range f.ast.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		name := imported[strings.LastIndexByte(imported, '/')+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
	}
	return names
}

// calleeOf is "name" or "package.Name" of a call. A method is named by its
// variable, which is a package's name only if f imports that package.
func calleeOf(call *ast.CallExpr, packages map[string]string) string {
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		x, ok := fn.X.(*ast.Ident)
		if !ok {
			return ""
		}
		imported, isPackage := packages[x.Name]
		if !isPackage && x.Name != "t" && x.Name != "b" && x.Name != "tb" {
			return ""
		}
		if !isPackage {
			return "t." + fn.Sel.Name
		}
		return imported[strings.LastIndexByte(imported, '/')+1:] + "." + fn.Sel.Name
	}
	return ""
}

// Whoever starts a goroutine waits for it, and a test sees to that: by goleak,
// or in bubbles of fake time, which do not end before their goroutines.
func TestGoroutinesAreWaitedFor(t *testing.T) {
	t.Parallel()
	starts, checked := make(map[string]string), make(map[string]bool)
	for _, f := range tree(t) {
		imports := f.imports(t)
		if f.test && (imports["go.uber.org/goleak"] != nil || imports["testing/synctest"] != nil) {
			checked[f.pkg] = true
		}
		if f.test || f.ast.Name.Name == "main" || slices.Contains(onlyTests(), f.pkg) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				starts[f.pkg] = fmt.Sprintf("%s:%d", f.path, f.line(n))
			case *ast.CallExpr: // of a WaitGroup or an errgroup
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
					starts[f.pkg] = fmt.Sprintf("%s:%d", f.path, f.line(n))
				}
			}
			return true
		})
	}
	for pkg, where := range starts {
		if !checked[pkg] {
			t.Errorf("%s starts a goroutine, and no test of %s uses goleak or synctest", where, pkg)
		}
	}
}

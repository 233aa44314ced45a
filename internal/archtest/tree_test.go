package archtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "example.com/certscan"
)

// A file is one Go file of the module.
type file struct {
	path string // slash-separated, from the root of the module
	pkg  string // its folder
	test bool
	fset *token.FileSet
	ast  *ast.File
}

// line is where n begins.
func (f file) line(n ast.Node) int { return f.fset.Position(n.Pos()).Line }

// lines is how many lines n takes, comments before it aside.
func (f file) lines(n ast.Node) int { return f.fset.Position(n.End()).Line - f.line(n) + 1 }

// imports returns the paths of what f imports, each with its import.
func (f file) imports(tb testing.TB) map[string]*ast.ImportSpec {
	tb.Helper()
	all := make(map[string]*ast.ImportSpec)
	for _, spec := range f.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			tb.Fatalf("%s: %v", f.path, err)
		}
		all[imported] = spec
	}
	return all
}

// tree parses the module. What lies below a folder with a go.mod of its own is
// another module.
func tree(tb testing.TB) []file {
	tb.Helper()
	var files []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == "tools" || d.Name() == "testdata" || rel != "." && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if path.Ext(rel) != ".go" {
			return nil
		}
		f := file{path: rel, pkg: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), fset: token.NewFileSet()}
		f.ast, err = parser.ParseFile(f.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		files = append(files, f)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	if len(files) < 20 {
		tb.Fatalf("found %d Go files: this does not look like the module", len(files))
	}
	return files
}

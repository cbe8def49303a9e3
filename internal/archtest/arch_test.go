package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is one parsed Go file of the tree.
type source struct {
	path string // relative to the module's root
	pkg  string // as in the table
	test bool   // a test, or a package of helpers for tests, whose name ends in test
	gen  bool
	text []byte
	file *ast.File
	fset *token.FileSet
}

func (s source) at(p token.Pos) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(p).Line)
}

// command reports whether the file belongs to a program rather than to a
// package that others import.
func (s source) command() bool { return s.file.Name.Name == "main" }

// mustSources parses every Go file of the module.
func mustSources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var all []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "build" || name == "bin" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		all = append(all, source{
			path: rel,
			pkg:  strings.TrimPrefix(path.Dir(rel), "internal/"),
			test: strings.HasSuffix(name, "_test.go") || strings.HasSuffix(path.Dir(rel), "test") && path.Dir(rel) != "internal/archtest",
			gen:  strings.HasSuffix(name, "_gen.go"),
			text: text, file: file, fset: fset,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found %d Go files; this test looks in the wrong place", len(all))
	}
	return all
}

func TestImports(t *testing.T) {
	table := map[string][]string{}
	for _, r := range allowed {
		if table[r.pkg] != nil {
			t.Errorf("package %q stands in the table twice", r.pkg)
		}
		table[r.pkg] = append(r.uses, r.pkg)
	}
	for _, s := range mustSources(t) {
		uses, known := table[s.pkg]
		if !known {
			t.Errorf("%s: package %q does not stand in the import table", s.path, s.pkg)
			continue
		}
		if s.test {
			continue // tests may build what they need
		}
		for _, spec := range s.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if own, ok := strings.CutPrefix(name, "glaux/"); ok {
				own = strings.TrimPrefix(own, "internal/")
				if !slices.Contains(uses, own) && !slices.Contains(uses, "*") {
					t.Errorf("%s: %s may not import %s", s.at(spec.Pos()), s.pkg, own)
				}
				continue
			}
			for prefix, pkgs := range owners {
				if name != prefix && !strings.HasPrefix(name, prefix+"/") {
					continue
				}
				if !slices.ContainsFunc(pkgs, func(p string) bool { return s.pkg == p || strings.HasPrefix(s.pkg, p+"/") }) {
					t.Errorf("%s: %s is for %v only", s.at(spec.Pos()), name, pkgs)
				}
			}
		}
	}
}

// calls visits every call of a function of a package, such as ("time", "Sleep").
func calls(s source, visit func(pkg, name string, pos token.Pos)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Obj == nil {
			visit(id.Name, sel.Sel.Name, sel.Pos())
		}
		return true
	})
}

func imports(s source, name string) bool {
	return slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == strconv.Quote(name) })
}

func TestForbiddenCalls(t *testing.T) {
	for _, s := range mustSources(t) {
		driver := s.pkg == "bench" || strings.HasPrefix(s.pkg, "bench/") || strings.HasPrefix(s.pkg, "test/")
		calls(s, func(pkg, name string, pos token.Pos) {
			switch pkg + "." + name {
			case "time.Sleep":
				if s.test && !imports(s, "testing/synctest") {
					t.Errorf("%s: tests do not sleep; wait for a condition, or use a synctest bubble", s.at(pos))
				}
			case "os.Getenv", "os.LookupEnv":
				if !s.test && s.pkg != "server" && !s.command() {
					t.Errorf("%s: only server and main read the environment", s.at(pos))
				}
			case "context.Background", "context.TO" + "DO":
				if !s.test && !s.command() {
					t.Errorf("%s: contexts are made in main and tests only", s.at(pos))
				}
			case "fmt.Print", "fmt.Printf", "fmt.Println":
				if !s.test && !driver && !s.command() {
					t.Errorf("%s: packages do not print; they take a writer or a logger", s.at(pos))
				}
			case "t.Skip", "t.Skipf", "t.SkipNow", "b.Skip":
				t.Errorf("%s: tests are not skipped", s.at(pos))
			}
		})
	}
}

func TestGoroutinesHaveOwners(t *testing.T) {
	for _, s := range mustSources(t) {
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			name := strings.ToLower(fn.Name.Name)
			if strings.HasPrefix(name, "run") || strings.HasPrefix(name, "serve") || fn.Name.Name == "main" {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if g, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s: %s starts a goroutine; only functions named Run… or serve… do, and wait for it", s.at(g.Pos()), fn.Name.Name)
				}
				return true
			})
		}
	}
}

func TestShape(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range mustSources(t) {
		dir := path.Dir(s.path)
		if !strings.HasSuffix(s.path, "_test.go") {
			documented[dir] = documented[dir] || s.file.Doc != nil
		}
		switch base := path.Base(s.pkg); base {
		case "util", "utils", "common", "helpers", "types", "models", "manager":
			t.Errorf("%s: %q says nothing about what a package is for", s.path, base)
		}
		if lines := bytes.Count(s.text, []byte("\n")); lines > 600 && !s.gen && !s.test {
			t.Errorf("%s: has %d lines; split it by idea", s.path, lines)
		}
		for _, mark := range []string{"TO" + "DO", "FIX" + "ME"} {
			if bytes.Contains(s.text, []byte(mark)) {
				t.Errorf("%s: has a mark of unfinished work, %s", s.path, mark)
			}
		}
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: packages have no init", s.at(fn.Pos()))
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok && !s.gen && i.Methods.NumFields() > 7 {
				t.Errorf("%s: interface has %d methods, more than 7", s.at(i.Pos()), i.Methods.NumFields())
			}
			return true
		})
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: package has no doc comment", dir)
		}
	}
}

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// module is this module's path; every folder below it is named by its first element.
const module = "rootlet"

// mayImport says for each folder which others its code may import: dependencies
// go one way, so that each folder can be read, tested and replaced without those
// above it. Every folder may import its own sub-packages and internal/.
var mayImport = map[string][]string{
	"":            {"cli"},
	"cli":         {"sandbox", "pull", "fuseoverlay", "userns", "slirp"},
	"sandbox":     {"userns", "slirp", "fuseoverlay"},
	"userns":      {},
	"slirp":       {},
	"fuseoverlay": {},
	"pull":        {},
	"internal":    {},
	"integration": {},
}

// heavy says which folders may import a library that costs much, or that would
// be hard to replace if its types were seen everywhere.
var heavy = map[string][]string{
	"go.podman.io/storage":                          {"fuseoverlay"},
	"github.com/google/go-containerregistry":        {"pull"},
	"github.com/rootless-containers/rootlesskit/v3": {"userns", "slirp"},
	"github.com/alecthomas/kong":                    {"cli"},
	"gvisor.dev/gvisor":                             {"slirp/builtin"},
	"github.com/moby/profiles":                      {"sandbox/seccomp"},
	"github.com/google/nftables":                    {"slirp/gate"},
	"github.com/mdlayher/netlink":                   {"slirp/gate"},
}

// testOnly packages serve tests and have no place in the binary.
var testOnly = []string{"rootlet/internal/testenv", "rootlet/internal/reportcard", "rootlet/internal/hosts", "rootlet/internal/markers", "rootlet/pull/registrytest", "rootlet/pull/hostile", "rootlet/slirp/slirptest", "testing"}

// A goPackage is what `go list -json` says of one package.
type goPackage struct {
	ImportPath   string
	Dir          string
	Doc          string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
}

// folder is the package's top folder in this module, "" for the root.
func (p goPackage) folder() string { return folderOf(p.ImportPath) }

// in says whether the package is in a folder or below it.
func (p goPackage) in(folder string) bool {
	return p.ImportPath == module+"/"+folder || strings.HasPrefix(p.ImportPath, module+"/"+folder+"/")
}

func folderOf(importPath string) string {
	rest := strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
	folder, _, _ := strings.Cut(rest, "/")
	return folder
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

func TestImportsGoOneWay(t *testing.T) {
	packages := listPackages(t)
	for _, p := range packages {
		allowed, known := mayImport[p.folder()]
		if !known {
			t.Errorf("%s: folder %s has no line in mayImport", p.ImportPath, p.folder())
		}
		for _, imported := range p.Imports {
			if !ours(imported) || folderOf(imported) == p.folder() || folderOf(imported) == "internal" {
				continue
			}
			if !slices.Contains(allowed, folderOf(imported)) {
				t.Errorf("%s: %s may not import %s", chain(packages, p.ImportPath, imported), p.ImportPath, imported)
			}
		}
	}
}

func TestHeavyLibrariesStayInTheirFolders(t *testing.T) {
	packages := listPackages(t)
	for _, p := range packages {
		for _, imported := range p.Imports {
			for library, folders := range heavy {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && !slices.ContainsFunc(folders, p.in) {
					t.Errorf("%s: %s is for %s only", chain(packages, p.ImportPath, imported), library, strings.Join(folders, " and "))
				}
			}
		}
	}
}

func TestNothingForTestsInTheBinary(t *testing.T) {
	packages := listPackages(t)
	inBinary := reached(packages)
	for _, p := range packages {
		if _, yes := inBinary[p.ImportPath]; !yes {
			continue
		}
		for _, imported := range p.Imports {
			if slices.Contains(testOnly, imported) {
				t.Errorf("%s: %s is for tests", chain(packages, p.ImportPath, imported), imported)
			}
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for _, p := range listPackages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s: no package comment", p.ImportPath)
		}
	}
}

// A replace or exclude in go.mod is ignored by whoever installs rootlet with
// `go install`, who would then build something else, or nothing.
func TestGoModNeitherReplacesNorExcludes(t *testing.T) {
	var mod struct{ Replace, Exclude []any }
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace)+len(mod.Exclude) > 0 {
		t.Errorf("go.mod: replace %v, exclude %v", mod.Replace, mod.Exclude)
	}
}

// A skip without a named missing thing looks like a pass, and a note to oneself
// without an issue is read by nobody.
func TestNoUnnamedSkipsOrNotes(t *testing.T) {
	skip := regexp.MustCompile(`\b[tb]\.Skip(f|Now)?\(`)
	note := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b(\(#\d+\))?`)
	for _, p := range listPackages(t) {
		for _, name := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			path := filepath.Join(p.Dir, name)
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(string(source), "\n") {
				if skip.MatchString(line) && p.ImportPath != "rootlet/internal/testenv" {
					t.Errorf("%s:%d: skip through internal/testenv, which names what is missing", path, i+1)
				}
				if m := note.FindStringSubmatch(line); m != nil && m[2] == "" {
					t.Errorf("%s:%d: %s without the number of an issue, as in %s(#12)", path, i+1, m[1], m[1])
				}
			}
		}
	}
}

// chain is how main comes to the import, for the reader to see what to cut: the
// shortest way from main to the importing package, or that package alone where
// only tests use it.
func chain(packages []goPackage, importer, imported string) string {
	cameFrom := reached(packages)
	path := []string{importer, imported}
	for from := cameFrom[importer]; from != ""; from = cameFrom[from] {
		path = slices.Insert(path, 0, from)
	}
	return strings.Join(path, " -> ")
}

// reached has our packages that are in the binary, each with the one that a
// shortest way from main comes through.
func reached(packages []goPackage) map[string]string {
	imports := map[string][]string{}
	for _, p := range packages {
		imports[p.ImportPath] = p.Imports
	}
	cameFrom := map[string]string{module: ""}
	for queue := []string{module}; len(queue) > 0; queue = queue[1:] {
		for _, next := range imports[queue[0]] {
			if _, seen := cameFrom[next]; !seen && ours(next) {
				cameFrom[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}
	return cameFrom
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(goCommand(t, "list", "-json", "./..."))))
	var packages []goPackage
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	output, err := exec.Command("go", args...).Output()
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return output
}

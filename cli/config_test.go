package cli

import (
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rootlet/internal/testenv"
	"rootlet/pull"
)

// userFile makes the user's config.toml.
func userFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	path := filepath.Join(dir, "rootlet", "config.toml")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// parsed is a command after its line and the user's file were read.
func parsed(t *testing.T, args ...string) (*app, runner, error) {
	t.Helper()
	a := &app{stdin: os.Stdin, stdout: io.Discard, printer: &printer{out: io.Discard}}
	c, err := choose(commands(), args)
	if err != nil {
		t.Fatal(err)
	}
	a.storageDriver = c.storageDriver
	target := c.form()
	a.config, a.configErr = readConfig(configPath(), commands())
	_, err = c.parse(a, target)
	return a, target, err
}

func TestConfigDefaults(t *testing.T) {
	userFile(t, `
storage-driver = "copy"
image-store = ["/srv/a", "/srv/b,c"]
registry-mirrors = ["https://m.example"]
keep-blobs = false

[token-servers]
"a.example" = ["b.example"]

[run]
network = "none"
env = ["A=1,2", "B"]
rm = true
stop-timeout = 5
tls-verify = false
platform = "linux/arm64"
sig-proxy = false

[ps]
all = true

[image.prune]
all = true
`)
	a, target, err := parsed(t, "run", "-e", "C", "--network", "host", "x")
	run := target.(*runCmd)
	if err != nil || a.storageDriver != "copy" || !a.config.DropBlobs ||
		!slices.Equal(a.config.RegistryMirrors, []string{"https://m.example"}) || !slices.Equal(a.config.TokenServers["a.example"], []string{"b.example"}) {
		t.Errorf("%q, %+v, %v", a.storageDriver, a.config.settings, err)
	}
	if !slices.Equal(a.stores.dirs, []string{"/srv/a", "/srv/b,c"}) {
		t.Errorf("image stores: %q", a.stores.dirs)
	}
	if !slices.Equal(run.Network, []string{"host"}) || !slices.Equal(run.Env, []string{"C"}) {
		t.Errorf("the command line yields: %q, %q", run.Network, run.Env)
	}
	if !run.Remove || run.SigProxy || run.StopTimeout == nil || *run.StopTimeout != 5 || run.TLSVerify == nil || *run.TLSVerify || run.Platform != "linux/arm64" {
		t.Errorf("%+v", run)
	}
	if _, target, err = parsed(t, "container", "run", "x"); err != nil || !slices.Equal(target.(*runCmd).Network, []string{"none"}) || !slices.Equal(target.(*runCmd).Env, []string{"A=1,2", "B"}) {
		t.Errorf("by its noun: %+v, %v", target, err)
	}
	if _, target, err = parsed(t, "container", "list"); err != nil || !target.(*psCmd).All {
		t.Errorf("by another name: %+v, %v", target, err)
	}
	if _, target, err = parsed(t, "image", "prune"); err != nil || !target.(*imagePruneCmd).All {
		t.Errorf("image prune: %+v, %v", target, err)
	}
	if _, target, err = parsed(t, "create", "x"); err != nil || len(target.(*createCmd).Network) != 0 {
		t.Errorf("another command: %+v, %v", target, err)
	}
	for words, want := range map[string]string{
		"--image-store /x images --image-store=/y": "/x /y", "images --image-store /x,y": "/x,y", "--image-store= images": "", "images": "/srv/a /srv/b,c",
	} {
		if a, _, err := parsed(t, strings.Fields(words)...); err != nil || strings.Join(a.stores.dirs, " ") != want {
			t.Errorf("%s: %q, %v", words, a.stores.dirs, err)
		}
	}
	t.Setenv("ROOTLET_IMAGE_STORE", "/v:/w")
	if a, _, err := parsed(t, "images"); err != nil || !slices.Equal(a.stores.dirs, []string{"/v", "/w"}) {
		t.Errorf("the variable yields: %q, %v", a.stores.dirs, err)
	}
	t.Setenv("DOCKER_DEFAULT_PLATFORM", "linux/amd64")
	t.Setenv("ROOTLET_STORAGE_DRIVER", "native")
	if a, target, err = parsed(t, "run", "x"); err != nil || target.(*runCmd).Platform != "linux/amd64" || a.storageDriver != "native" {
		t.Errorf("a variable yields: %q, %q, %v", target.(*runCmd).Platform, a.storageDriver, err)
	}
	if a, _, err = parsed(t, "--storage-driver", "fuse-overlayfs", "run", "x"); err != nil || a.storageDriver != "fuse-overlayfs" {
		t.Errorf("before the command: %q, %v", a.storageDriver, err)
	}
}

func TestConfigLimits(t *testing.T) {
	userFile(t, "[limits]\nlayer-size = '1g'\nimage-size = 5\nlayers = 7\nratio = 9\n")
	a, _, err := parsed(t, "ps")
	if want := (pull.Limits{LayerSize: 1 << 30, ImageSize: 5, Layers: 7, Ratio: 9}); err != nil || a.config.Limits != want {
		t.Errorf("%+v, %v", a.config.Limits, err)
	}
	var all pull.Limits
	for _, k := range limitKeys(&all) {
		if err := k.set(int64(1)); err != nil {
			t.Error(err)
		}
	}
	fields := reflect.ValueOf(all)
	for i := range fields.NumField() {
		if fields.Field(i).Int() != 1 {
			t.Errorf("no key sets %s", fields.Type().Field(i).Name)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for text, want := range map[string]string{
		"storage-drivr = 'copy'":                 "line 1: storage-drivr: unknown: did you mean storage-driver?",
		"\n# x\n[run]\nnetwrk = 'none'":          "line 4: run.netwrk: unknown: did you mean network?",
		"[rnu]\nnetwork = 'none'":                "line 1: rnu: unknown: did you mean run?",
		"[container.ls]\nall = true":             "line 1: container.ls: the table of this command is [ps]",
		"[image.prun]\nall = true":               "line 1: image.prun: unknown: did you mean prune?",
		"run = 1":                                "line 1: run: unknown",
		"[pull]\nquiet = 'yes'":                  `line 2: pull.quiet: want true or false, not "yes"`,
		"[run]\npull = 'some'":                   `line 2: run.pull: want one of always, missing, never, newer, not "some"`,
		"[run]\n\"env\" = 1":                     "line 2: run.env: want an array of strings, not 1",
		"[run]\nenv = [1]":                       "line 2: run.env: want an array of strings, not an array",
		"run.rm = 1":                             "line 1: run.rm: want true or false, not 1",
		"[run]\nname = 3":                        "line 2: run.name: want a string, not 3",
		"keep-blobs = 'no'":                      `line 1: keep-blobs: want true or false, not "no"`,
		"registry-mirrors = 'https://m.example'": "line 1: registry-mirrors: want an array of strings",
		"[limits]\nlayer-sise = 1":               "line 2: limits.layer-sise: unknown: did you mean layer-size?",
		"[limits]\nlayer-size = 'much'":          "line 2: limits.layer-size: want bytes",
		"token-servers = 1":                      "line 1: token-servers: want a table",
		"[token-servers]\n'a.example' = 'x'":     "line 1: token-servers: a.example: want an array",
		"[limits]\nlayers = '10'":                "line 2: limits.layers: want a number",
		"[limits]\nentries = -1":                 "line 2: limits.entries: want a number above 0, not -1",
		"[limits]\nfree-disk = -1":               "line 2: limits.free-disk: want a number from 1 to 99, not -1",
		"[limits]\nfree-disk = 100":              "line 2: limits.free-disk: want a number from 1 to 99, not 100",
		"[limits]\nlayers = 501":                 "line 2: limits.layers: want a number from 1 to 500, not 501",
		"[limits]\npath-length = 5000":           "line 2: limits.path-length: want a number from 1 to 4095, not 5000",
		"[limits]\nzstd-window = '1g'":           `line 2: limits.zstd-window: want bytes, or a size such as "10m", up to 128 MiB, not "1g"`,
		"limits = 1":                             "line 1: limits: want a table",
		"storage-driver = true":                  "line 1: storage-driver: want a string, not true",
		"[run]\nrm = ":                           "line 2: ",
		"[run]\nrm = true\n[run]\nrm = false":    "line 3: ",
		"[run]\nrm = { a = 1 }":                  "line 2: run.rm: want true or false, not a table",
	} {
		path := userFile(t, text)
		_, _, err := parsed(t, "ps")
		if err == nil || !strings.Contains(err.Error(), path+", "+want) {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
		if _, _, err := parsed(t, "info"); err != nil {
			t.Errorf("%q: info: %v", text, err)
		}
	}
}

func TestConfigOfOthers(t *testing.T) {
	path := userFile(t, "[ps]\nall = true\n")
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o602: false, 0o666: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := parsed(t, "ps"); (err == nil) != good {
			t.Errorf("%o: %v", mode, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if a, _, err := parsed(t, "ps"); err != nil || a.config.path != "" {
		t.Errorf("no file: %v", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, err := parsed(t, "ps"); err == nil {
		t.Error("a directory is read")
	}
}

// TestConfigKnowsAllFlags compares what the file may set with what the parser
// knows.
func TestConfigKnowsAllFlags(t *testing.T) {
	everyCommand(func(path []string, c command) {
		a := &app{stdout: io.Discard, printer: &printer{out: io.Discard}}
		parser, _, err := chosen{command: c, path: "rootlet", at: path}.model(a, c.form(), func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, f := range parser.Model.Flags {
			if f.Name != "help" && !slices.Contains(ownFlags, "--"+f.Name) {
				want = append(want, f.Name)
			}
		}
		var got []string
		for name, f := range flagsOf(reflect.TypeOf(c.form()).Elem()) {
			got = append(got, name)
			switch f.wants() {
			case "a string":
				if f.kind.Kind() != reflect.String {
					t.Errorf("%s %s: a flag of type %s", path, name, f.kind)
				}
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, the parser knows %q", path, got, want)
		}
	})
}

// everyCommand calls do with each command where its table is.
func everyCommand(do func(path []string, c command)) {
	all := commands()
	for _, c := range all {
		if c.form != nil {
			do([]string{c.name}, c)
		}
		for _, child := range c.children {
			if path := []string{c.name, child.name}; slices.Equal(tableOf(all, path), path) {
				do(path, child)
			}
		}
	}
}

// TestConfigPage keeps the page of all keys what the grammar is.
func TestConfigPage(t *testing.T) {
	var page strings.Builder
	page.WriteString("# Keys of config.toml\n\nMade by `go test ./cli -run TestConfigPage -update` from the grammar; see [config](config.md).\n\n| key | value | |\n|---|---|---|\n")
	row := func(name, wants, help string) {
		fmt.Fprintf(&page, "| `%s` | %s | %s |\n", name, strings.ReplaceAll(wants, "|", `\|`), strings.ReplaceAll(help, "|", `\|`))
	}
	for name, f := range sortedFlags(reflect.TypeFor[globalFlags]()) {
		row(name, f.wants(), f.help)
	}
	own := ownSettings()
	for _, name := range slices.Sorted(maps.Keys(own)) {
		row(name, "", own[name].help)
	}
	page.WriteString("\n## [limits]\n\n| key | value | |\n|---|---|---|\n")
	limits := limitKeys(&pull.Limits{})
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		row(name, limits[name].wants(), limits[name].help)
	}
	everyCommand(func(path []string, c command) {
		flags := flagsOf(reflect.TypeOf(c.form()).Elem())
		if len(flags) == 0 {
			return
		}
		fmt.Fprintf(&page, "\n## [%s]\n\n| key | value | |\n|---|---|---|\n", strings.Join(path, "."))
		for name, f := range sortedFlags(reflect.TypeOf(c.form()).Elem()) {
			row(name, f.wants(), f.help)
		}
	})
	testenv.Golden(t, "../../docs/config-keys.md", page.String())
	text, err := os.ReadFile("../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range own {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/config.md does not speak of %s", name)
		}
	}
}

func sortedFlags(of reflect.Type) iter.Seq2[string, flagOf] {
	flags := flagsOf(of)
	return func(yield func(string, flagOf) bool) {
		for _, name := range slices.Sorted(maps.Keys(flags)) {
			if !yield(name, flags[name]) {
				return
			}
		}
	}
}

func BenchmarkConfig(b *testing.B) {
	path := filepath.Join(b.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("storage-driver = \"copy\"\nregistry-mirrors = [\"https://m.example\"]\n[run]\nnetwork = \"none\"\nrm = true\n[pull]\nquiet = true\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, path := range []string{path, "/not/there"} {
		b.Run(filepath.Base(path), func(b *testing.B) {
			for b.Loop() {
				if _, err := readConfig(path, commands()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package cli

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		words, path, name string
		args              []string
	}{
		{"run image", "rootlet run", "run", []string{"image"}},
		{"container run -it x", "rootlet container run", "run", []string{"-it", "x"}},
		{"container list -a", "rootlet container list", "ls", []string{"-a"}},
		{"container ps", "rootlet container ps", "ls", nil},
		{"image remove x", "rootlet image remove", "rm", []string{"x"}},
		{"--storage-driver copy images", "rootlet images", "images", nil},
		{"--storage-driver=copy images -q", "rootlet images", "images", []string{"-q"}},
		{"image --storage-driver copy ls", "rootlet image ls", "ls", nil},
		{"--image-store /a --image-store=/b images", "rootlet images", "images", nil},
		{"container", "rootlet container", "container", nil},
	} {
		got, err := choose(commands(), strings.Fields(test.words))
		if err != nil || got.path != test.path || got.name != test.name || !slices.Equal(got.args, test.args) || got.help {
			t.Errorf("%s: %q %q %q, %v", test.words, got.path, got.name, got.args, err)
		}
		if driver := strings.Contains(test.words, "copy"); driver != (got.storageDriver == "copy") {
			t.Errorf("%s: driver %q", test.words, got.storageDriver)
		}
		if words := got.storeWords(); strings.Contains(test.words, "/b") != slices.Equal(words, []string{"--image-store=/a", "--image-store=/b"}) {
			t.Errorf("%s: image stores %q", test.words, words)
		}
	}
}

func TestChooseErrors(t *testing.T) {
	for words, want := range map[string]string{
		"rnu x":            `unknown command "rnu": did you mean run?`,
		"frobnicate":       `unknown command "frobnicate"`,
		"container imges":  `unknown command "imges"`,
		"imag":             `unknown command "imag": did you mean images?`,
		"--foo run":        "unknown flag --foo",
		"-x":               "unknown flag -x",
		"--image-store":    "flag --image-store needs a value",
		"--storage-driver": "flag --storage-driver needs a value",
	} {
		if _, err := choose(commands(), strings.Fields(words)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", words, err, want)
		}
	}
}

// do runs a command line in this process and returns what it prints.
func do(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := &app{stdin: os.Stdin, stdout: &out, printer: &printer{out: &errs}}
	code = a.exit(a.run(args))
	return code, out.String(), errs.String()
}

func TestHelp(t *testing.T) {
	for _, test := range []struct{ words, want string }{
		{"", "Usage: rootlet COMMAND\n"},
		{"help", "Usage: rootlet COMMAND\n"},
		{"--help", "Usage: rootlet COMMAND\n"},
		{"container", "Usage: rootlet container COMMAND\n"},
		{"help run", "Usage: rootlet run [FLAGS] IMAGE [COMMAND...]\n"},
		{"run --help", "Usage: rootlet run [FLAGS] IMAGE [COMMAND...]\n"},
		{"container run --rm --help", "Usage: rootlet container run [FLAGS] IMAGE [COMMAND...]\n"},
		{"rm -h", "Usage: rootlet rm [FLAGS] CONTAINER...\n"},
	} {
		code, stdout, stderr := do(t, strings.Fields(test.words)...)
		if code != 0 || !strings.HasPrefix(stdout, test.want) || stderr != "" {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", test.words, code, stdout, stderr)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	for _, c := range commands() {
		for _, sub := range append(c.children, command{}) {
			args := strings.Fields(c.name + " " + sub.name + " --help")
			if code, stdout, stderr := do(t, args...); code != 0 || !strings.Contains(stdout, "Usage: ") || stderr != "" {
				t.Errorf("%q: exit code %d, %q", args, code, stderr)
			}
		}
	}
}

func TestWrongFlagsAre125AndPrintNoUsage(t *testing.T) {
	for _, words := range []string{"--foo", "foo", "run --foo x", "rm", "ps -x", "container rm --foo", "images --storage-driver x", "run --pull sometimes x"} {
		code, stdout, stderr := do(t, strings.Fields(words)...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if code != ExitEngine || stdout != "" || len(lines) != 2 || !strings.HasPrefix(lines[0], "rootlet: error: ") || !strings.HasPrefix(lines[1], "rootlet: hint: see `rootlet") {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q", words, code, stdout, stderr)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"run", "rm", "rmi", "images", "--interactive"}
	for word, want := range map[string]string{
		"rum": "run", "imgaes": "images", "image": "images", "--interactiv": "--interactive", "--inter": "--interactive", "xyzzy": "", "": "",
	} {
		got := nearest(word, known)
		if want != "" {
			want = ": did you mean " + want + "?"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

func BenchmarkParseRun(b *testing.B) {
	a := &app{stdout: io.Discard, printer: &printer{out: io.Discard}}
	for b.Loop() {
		c, err := choose(commands(), []string{"run", "--rm", "-it", "-e", "A=1", "--network", "none", "hello", "x"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.parse(a, c.form()); err != nil {
			b.Fatal(err)
		}
	}
}

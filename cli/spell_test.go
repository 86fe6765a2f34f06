package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func spellerOf(t *testing.T, name string) (*speller, runner) {
	t.Helper()
	c, ok := find(commands(), name)
	if !ok {
		t.Fatalf("no command %s", name)
	}
	target := c.form()
	parser, err := kong.New(target, kong.Embed(new(globalFlags)))
	if err != nil {
		t.Fatal(err)
	}
	return &speller{flags: parser.Model.Flags, positional: parser.Model.Positional, command: "rootlet " + name}, target
}

func TestSpell(t *testing.T) {
	for _, test := range []struct{ command, words, want string }{
		{"run", "image", "-- image"},
		{"run", "-it image", "--interactive=true --tty=true -- image"},
		{"run", "-it --rm image sh -c x", "--interactive=true --tty=true --rm=true -- image sh -c x"},
		{"run", "-e A=1 nginx -e B", "--env=A=1 -- nginx -e B"},
		{"run", "-eA=1 image", "--env=A=1 -- image"},
		{"run", "-e=A=1 image", "--env=A=1 -- image"},
		{"run", "-ite A image", "--interactive=true --tty=true --env=A -- image"},
		{"run", "-iteA=1,2 image", "--interactive=true --tty=true --env=A=1,2 -- image"},
		{"run", "-e -x image", "--env=-x -- image"},
		{"run", "-e -- image", "--env=-- -- image"},
		{"run", "--env --rm image", "--env=--rm -- image"},
		{"run", "--name=x=y image", "--name=x=y -- image"},
		{"run", "--entrypoint= image", "--entrypoint= -- image"},
		{"run", "--rm=false -t=0 -i=TRUE image", "--rm=false --tty=false --interactive=true -- image"},
		{"run", "--rm image --rm", "--rm=true -- image --rm"},
		{"run", "-- image -- x", "-- image -- x"},
		{"run", "image -- x", "-- image -- x"},
		{"run", "image --help", "-- image --help"},
		{"run", "-h box image", "--hostname=box -- image"},
		{"run", "--net none image", "--network=none -- image"},
		{"run", "--storage-driver copy image", "--storage-driver=copy -- image"},
		{"run", "--tls-verify=false image", "--tls-verify=false -- image"},
		{"run", "- x", "-- - x"},
		{"run", "-l a -v .:/x -u 1:2 -w / image", "--label=a --volume=.:/x --user=1:2 --workdir=/ -- image"},
		{"rm", "a -f b", "--force=true -- a b"},
		{"rm", "-fv a -- -b", "--force=true --volumes=true -- a -b"},
		{"ps", "-aq", "--all=true --quiet=true --"},
		{"logs", "x -n 5 -t", "--tail=5 --timestamps=true -- x"},
		{"logs", "-n5 x", "--tail=5 -- x"},
	} {
		s, _ := spellerOf(t, test.command)
		got, help, err := s.spell(strings.Fields(test.words))
		if err != nil || help || strings.Join(got, " ") != test.want {
			t.Errorf("%s %s: %q, help %t, %v; want %q", test.command, test.words, got, help, err, test.want)
		}
	}
}

func TestSpellHelp(t *testing.T) {
	for _, words := range []string{"--help", "-it --help", "--help image", "--rm --help=true"} {
		s, _ := spellerOf(t, "run")
		if _, help, err := s.spell(strings.Fields(words)); err != nil || !help {
			t.Errorf("run %s: help %t, %v", words, help, err)
		}
	}
	s, _ := spellerOf(t, "ps")
	if _, help, err := s.spell([]string{"-h"}); err != nil || !help {
		t.Errorf("ps -h: help %t, %v", help, err)
	}
}

func TestSpellErrors(t *testing.T) {
	for _, test := range []struct{ command, words, want string }{
		{"run", "--foo image", "unknown flag --foo"},
		{"run", "--foo=bar image", "unknown flag --foo"},
		{"run", "--intercative image", "unknown flag --intercative: did you mean --interactive?"},
		{"run", "-itz image", "unknown flag -z in -itz"},
		{"run", "-z image", "unknown flag -z"},
		{"run", "--memory-swappiness=1 image", "unknown flag --memory-swappiness: rootlet has no such limit; see --memory, --cpus, --pids-limit and --blkio-weight"},
		{"rm", "--memory=1g name", "unknown flag --memory"},
		{"run", "--rm=maybe image", `flag --rm: "maybe" is neither true nor false`},
		{"run", "--rm= image", `flag --rm: "" is neither true nor false`},
		{"run", "--name", "flag --name needs a value"},
		{"run", "-it -e", "flag -e needs a value"},
		{"run", "", `"rootlet run" needs at least 1 argument`},
		{"run", "--rm", `"rootlet run" needs at least 1 argument`},
		{"rm", "-f", `"rootlet rm" needs at least 1 argument`},
		{"logs", "a b", `"rootlet logs" takes 1 argument, not 2`},
		{"logs", "", `"rootlet logs" takes 1 argument, not 0`},
		{"ps", "a", `"rootlet ps" takes no arguments, not 1`},
	} {
		s, _ := spellerOf(t, test.command)
		if _, _, err := s.spell(strings.Fields(test.words)); err == nil || err.Error() != test.want {
			t.Errorf("%s %s: %v, want %s", test.command, test.words, err, test.want)
		}
	}
}

// TestKongReadsWhatIsSpelled parses for real, into the command.
func TestKongReadsWhatIsSpelled(t *testing.T) {
	c := new(runCmd)
	parser, err := kong.New(c, kong.Embed(new(globalFlags)))
	if err != nil {
		t.Fatal(err)
	}
	s := speller{flags: parser.Model.Flags, positional: parser.Model.Positional}
	words, _, err := s.spell([]string{
		"-it", "-e", "A=1,2", "-e", "-x", "--cap-add", "A,B", "--dns", "1.1.1.1,2.2.2.2", "--entrypoint", "",
		"--tls-verify=false", "-h", "box", "-v", "a b:/c;d", "image", "--", "-it", "", "--help",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(words); err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		name      string
		got, want []string
	}{
		{"env", c.Env, []string{"A=1,2", "-x"}},
		{"cap-add", c.CapAdd, []string{"A,B"}},
		{"dns", c.DNS, []string{"1.1.1.1,2.2.2.2"}},
		{"volume", c.Volume, []string{"a b:/c;d"}},
		{"image", []string{c.Image}, []string{"image"}},
		{"command", c.Command, []string{"--", "-it", "", "--help"}},
		{"hostname", []string{c.Hostname}, []string{"box"}},
	} {
		if !slices.Equal(check.got, check.want) {
			t.Errorf("%s: %q, want %q", check.name, check.got, check.want)
		}
	}
	if !c.Interactive || !c.TTY || c.Entrypoint == nil || *c.Entrypoint != "" || c.TLSVerify == nil || *c.TLSVerify {
		t.Errorf("switches: %+v", c.runFlags)
	}
}

func FuzzSpell(f *testing.F) {
	f.Add("-it\x00--rm\x00image\x00-x")
	f.Add("-e\x00--")
	f.Fuzz(func(t *testing.T, line string) {
		s, _ := spellerOf(t, "run")
		args := strings.Split(line, "\x00")
		words, help, err := s.spell(args)
		if err != nil || help {
			return
		}
		at := slices.Index(words, "--")
		if at < 0 || !slices.Equal(words[at+1:], args[len(args)-len(words[at+1:]):]) {
			t.Errorf("%q: the container's words became %q", args, words)
		}
	})
}

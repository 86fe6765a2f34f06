package cli

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"rootlet/sandbox/record"
)

// completer finds what the last word of a command line may become, from the
// same grammar by which the line will be read.
type completer struct {
	*app
	word  string // what is typed of it
	lines []string
}

// What a shell is told beside candidates.
const (
	addFiles = ":files"
	noSpace  = ":nospace"
)

// complete completes word, with the words before it.
func (c *completer) complete(before []string, word string) {
	c.word = word
	chosen, err := choose(commands(), before)
	if err != nil {
		return
	}
	if chosen.form == nil {
		c.offer(names(chosen.children)...)
		if strings.HasPrefix(word, "-") {
			c.offer("--help", "--version")
			c.offer(ownFlags...)
		}
		return
	}
	target := chosen.form()
	parser, _, err := chosen.model(c.app, target, func(int) {})
	if err != nil {
		return
	}
	s := speller{flags: parser.Model.Flags, positional: parser.Model.Positional, command: chosen.path}
	c.completeArgument(&s, chosen, target)
}

// completeArgument completes a word after the command: a flag, its value, or an
// argument.
func (c *completer) completeArgument(s *speller, chosen chosen, target runner) {
	given, forced := 0, false // arguments
	var wants *kong.Flag      // whose value the next word is
	for _, w := range chosen.args {
		switch {
		case wants != nil:
			wants = nil
		case len(w) > 1 && w[0] == '-' && w != "--" && (given == 0 || !s.passesThrough()):
			wants = s.waiting(w)
			forced = forced || w == "-f" || w == "--force"
		default:
			given++
		}
	}
	switch {
	case wants != nil:
		c.completeValue(wants, target)
	case strings.HasPrefix(c.word, "--") && strings.Contains(c.word, "="):
		name, value, _ := strings.Cut(c.word, "=")
		if flag := s.byName(name[2:]); flag != nil {
			inner := completer{app: c.app, word: value}
			inner.completeValue(flag, target)
			for _, line := range inner.lines {
				c.add(name+"=", line)
			}
		}
	case strings.HasPrefix(c.word, "-") && (given == 0 || !s.passesThrough()):
		for _, flag := range s.flags {
			if !flag.Hidden {
				c.offer("--" + flag.Name)
			}
		}
	default:
		c.completePositional(s.positional, given, chosen.command.name, forced, target)
	}
}

// add adds an inner answer to a word that has more in front.
func (c *completer) add(front, line string) {
	if !strings.HasPrefix(line, ":") {
		line = front + line
	}
	c.lines = append(c.lines, line)
}

// waiting is the flag that a word ends with, where the next word is its value.
func (s *speller) waiting(word string) *kong.Flag {
	if name, long := strings.CutPrefix(word, "--"); long {
		flag := s.byName(name) // one with = in it is none
		if flag == nil || flag.IsBool() {
			return nil
		}
		return flag
	}
	for i, letter := range word[1:] {
		flag := s.byLetter(letter)
		if flag == nil || !flag.IsBool() {
			if i == len(word)-2 {
				return flag
			}
			return nil
		}
	}
	return nil
}

// completeValue completes the value of a flag.
func (c *completer) completeValue(flag *kong.Flag, target runner) {
	if flag.Enum != "" {
		c.offer(strings.Split(flag.Enum, ",")...)
		return
	}
	switch flag.Name {
	case "network":
		c.networkModes()
	case "filter":
		if f, ok := target.(interface{ filterKeys() []string }); ok {
			for _, key := range f.filterKeys() {
				c.offer(key + "=")
			}
			c.lines = append(c.lines, noSpace)
		}
	case "format":
		c.offer("json", "table")
	case "require":
		c.offer(record.Requirements()...)
	case "restart":
		c.offer(record.RestartNo, record.RestartAlways, record.RestartOnFailure, record.RestartUnlessStopped)
	case "storage-driver":
		c.offer("native", "fuse-overlayfs", "copy")
	case "log-driver":
		c.offer(record.LogJSONFile, record.LogNone)
	case "type":
		c.offer(objectKinds[:]...)
	case "ipc":
		c.offer(private, record.Shareable, record.NoShm, record.Host)
		c.shared()
	case "pid", "uts":
		c.offer(private, record.Host)
		c.shared()
	case "userns":
		c.offer(record.KeepID, record.NoMap, record.Auto)
	case "volumes-from":
		c.containers(anyStatus)
	case "volume":
		c.volumes()
		c.lines = append(c.lines, addFiles)
	case "authfile", "cidfile", "digestfile", "env-file", "output", "input", "device", "image-store":
		c.lines = append(c.lines, addFiles)
	}
}

// completePositional completes the argument after those that are given.
func (c *completer) completePositional(positional []*kong.Positional, given int, command string, force bool, target runner) {
	if len(positional) == 0 {
		return
	}
	last := positional[len(positional)-1]
	if given >= len(positional) && !last.IsCumulative() {
		return
	}
	p := positional[min(given, len(positional)-1)]
	if p.Enum != "" {
		c.offer(strings.Split(p.Enum, ",")...)
		return
	}
	states := func(s record.Status) bool { return completes(command, force, s) }
	switch p.Name {
	case "container":
		c.containers(states)
	case "image", "repository":
		c.images()
	case "volume":
		if command != "create" {
			c.volumes()
		}
	case "name":
		c.objects(target)
	case "registry":
		c.registries()
	case "source", "destination":
		c.copied()
	case "file", "dir":
		c.lines = append(c.lines, addFiles)
	}
}

// offer adds those candidates that begin as the word does.
func (c *completer) offer(candidates ...string) {
	for _, candidate := range candidates {
		if candidate != "" && strings.HasPrefix(candidate, c.word) && printable(candidate) == candidate && !slices.Contains(c.lines, candidate) {
			c.lines = append(c.lines, candidate)
		}
	}
}

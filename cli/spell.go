package cli

import (
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// speller spells a command's words out. Kong reads short flags, values that look
// like flags, and what follows an image in ways of its own; Docker's users have
// pflag's in their fingers. So each flag goes to Kong as --name=value, which can
// be read in one way only, and what is no flag goes behind a "--".
type speller struct {
	flags      []*kong.Flag
	positional []*kong.Positional
	command    string
}

// spell returns the words for Kong, or that help is asked for.
func (s *speller) spell(args []string) (words []string, help bool, err error) {
	var rest []string
	for len(args) > 0 {
		word := args[0]
		if word == "--" {
			rest = append(rest, args[1:]...)
			break
		}
		if len(word) < 2 || word[0] != '-' {
			if s.passesThrough() {
				rest = append(rest, args...)
				break
			}
			rest, args = append(rest, word), args[1:]
			continue
		}
		var spelled []string
		if spelled, args, err = s.flag(word, args[1:]); err != nil {
			return nil, false, err
		}
		words = append(words, spelled...)
	}
	for _, w := range words {
		if w == "--help=true" {
			return nil, true, nil
		}
	}
	return append(append(words, "--"), rest...), false, s.count(len(rest))
}

// passesThrough reports whether the arguments end in another program's, none of
// which is a flag of ours: in `run -e A=1 nginx -e B` the last -e is nginx's.
func (s *speller) passesThrough() bool {
	n := len(s.positional)
	return n > 0 && s.positional[n-1].Passthrough
}

// flag spells one word that begins with a dash, and takes its value from the
// words after it where it needs one.
func (s *speller) flag(word string, after []string) (spelled, left []string, err error) {
	if name, long := strings.CutPrefix(word, "--"); long {
		name, value, inWord := strings.Cut(name, "=")
		flag := s.byName(name)
		if flag == nil {
			return nil, nil, usage(s.command, "unknown flag --%s%s", name, s.instead("--"+name))
		}
		return s.one(flag, "--"+name, value, inWord, after)
	}
	for letters := word[1:]; letters != ""; {
		letter := rune(letters[0])
		letters = letters[1:]
		flag := s.byLetter(letter)
		if flag == nil {
			if len(word) == 2 {
				return nil, nil, usage(s.command, "unknown flag %s%s", word, notThere(s.command, word[:2]))
			}
			return nil, nil, usage(s.command, "unknown flag -%c in %s%s", letter, word, notThere(s.command, "-"+string(letter)))
		}
		value, inWord := strings.CutPrefix(letters, "=")
		if inWord || !flag.IsBool() {
			last, left, err := s.one(flag, "-"+string(letter), value, inWord || value != "", after)
			return append(spelled, last...), left, err
		}
		spelled = append(spelled, "--"+flag.Name+"=true")
	}
	return spelled, after, nil
}

// one spells one flag.
func (s *speller) one(flag *kong.Flag, typed, value string, inWord bool, after []string) (spelled, left []string, err error) {
	switch {
	case flag.IsBool():
		if !inWord {
			value = "true"
		}
		on, err := strconv.ParseBool(value)
		if err != nil {
			return nil, nil, usage(s.command, "flag %s: %q is neither true nor false", typed, value)
		}
		value = strconv.FormatBool(on)
	case !inWord && len(after) == 0:
		return nil, nil, usage(s.command, "flag %s needs a value", typed)
	case !inWord:
		value, after = after[0], after[1:]
	}
	return []string{"--" + flag.Name + "=" + value}, after, nil
}

func (s *speller) byName(name string) *kong.Flag {
	for _, flag := range s.flags {
		if flag.Name == name {
			return flag
		}
		for _, alias := range flag.Aliases {
			if alias == name {
				return flag
			}
		}
	}
	return nil
}

// byLetter finds a flag by its letter. The help flag is the first of all, and
// yields to a command's own.
func (s *speller) byLetter(letter rune) *kong.Flag {
	var found *kong.Flag
	for _, flag := range s.flags {
		if flag.Short == letter {
			found = flag
		}
	}
	return found
}

// instead says what to do without a flag that is unknown: why it is, or which one
// may have been meant.
func (s *speller) instead(flag string) string {
	if why := notThere(s.command, flag); why != "" {
		return why
	}
	return nearest(flag, s.names())
}

func (s *speller) names() []string {
	var list []string
	for _, flag := range s.flags {
		list = append(list, "--"+flag.Name)
	}
	return list
}

// count checks the number of arguments.
func (s *speller) count(n int) error {
	least, most := 0, len(s.positional)
	for _, p := range s.positional {
		if p.Required {
			least++
		}
		if p.IsCumulative() {
			most = -1
		}
	}
	switch {
	case least == most && n != least:
		return usage(s.command, "%q takes %s, not %d", s.command, arguments(least), n)
	case n < least:
		return usage(s.command, "%q needs at least %s", s.command, arguments(least))
	case most >= 0 && n > most:
		return usage(s.command, "%q takes at most %s, not %d", s.command, arguments(most), n)
	}
	return nil
}

func arguments(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}

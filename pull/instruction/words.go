package instruction

import (
	"errors"
	"strings"
)

// words splits a line at its blanks, as a Dockerfile's: quotes keep blanks, a
// backslash keeps what follows, and $NAME, ${NAME}, ${NAME:-word} and
// ${NAME:+word} stand for variables, but not in single quotes.
func words(line string, variable func(string) (string, bool)) ([]string, error) {
	s := &splitter{rest: line, variable: variable}
	var all []string
	for {
		s.rest = strings.TrimLeft(s.rest, " \t")
		if s.rest == "" {
			return all, nil
		}
		word, err := s.word(" \t")
		if err != nil {
			return nil, err
		}
		all = append(all, word)
	}
}

// expand is a line as one word.
func expand(line string, variable func(string) (string, bool)) (string, error) {
	s := &splitter{rest: line, variable: variable}
	return s.word("")
}

type splitter struct {
	rest     string
	variable func(string) (string, bool)
}

var errQuote = errors.New("a quote is not closed")

// word reads up to one of the stops, or to the end.
func (s *splitter) word(stops string) (string, error) {
	var b strings.Builder
	for s.rest != "" && !strings.ContainsRune(stops, rune(s.rest[0])) {
		c := s.next()
		switch c {
		case '\'':
			text, rest, closed := strings.Cut(s.rest, "'")
			if !closed {
				return "", errQuote
			}
			b.WriteString(text)
			s.rest = rest
		case '"':
			text, err := s.quoted()
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		case '\\':
			if s.rest == "" {
				b.WriteByte(c)
				continue
			}
			b.WriteByte(s.next())
		case '$':
			value, err := s.dollar()
			if err != nil {
				return "", err
			}
			b.WriteString(value)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

func (s *splitter) next() byte {
	c := s.rest[0]
	s.rest = s.rest[1:]
	return c
}

// quoted reads what double quotes hold: a backslash there only keeps the quote,
// itself and the dollar.
func (s *splitter) quoted() (string, error) {
	var b strings.Builder
	for s.rest != "" {
		c := s.next()
		switch {
		case c == '"':
			return b.String(), nil
		case c == '\\' && s.rest != "" && strings.ContainsRune(`"\$`, rune(s.rest[0])):
			b.WriteByte(s.next())
		case c == '$':
			value, err := s.dollar()
			if err != nil {
				return "", err
			}
			b.WriteString(value)
		default:
			b.WriteByte(c)
		}
	}
	return "", errQuote
}

// dollar reads what follows one.
func (s *splitter) dollar() (string, error) {
	if !strings.HasPrefix(s.rest, "{") {
		name := s.name()
		if name == "" {
			return "$", nil
		}
		value, _ := s.variable(name)
		return value, nil
	}
	s.next()
	name := s.name()
	value, isSet := s.variable(name)
	operator := ""
	if len(s.rest) > 1 && (s.rest[:2] == ":-" || s.rest[:2] == ":+") {
		operator, s.rest = s.rest[:2], s.rest[2:]
	}
	other, err := s.word("}")
	if err != nil {
		return "", err
	}
	if name == "" || s.rest == "" || operator == "" && other != "" {
		return "", errors.New("unsupported variable: only $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word} are")
	}
	s.next()
	filled := isSet && value != ""
	if operator == ":-" && !filled || operator == ":+" && filled {
		return other, nil
	}
	if operator == ":+" {
		return "", nil
	}
	return value, nil
}

// name reads a variable's name.
func (s *splitter) name() string {
	n := 0
	for n < len(s.rest) && (s.rest[n] == '_' || s.rest[n] >= 'a' && s.rest[n] <= 'z' || s.rest[n] >= 'A' && s.rest[n] <= 'Z' || n > 0 && s.rest[n] >= '0' && s.rest[n] <= '9') {
		n++
	}
	name := s.rest[:n]
	s.rest = s.rest[n:]
	return name
}

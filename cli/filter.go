package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// filters are what the --filter flags of a command say: each key's values.
// Different keys must all hold, of one key's values any (labels are their own).
type filters map[string][]string

// parseFilters reads --filter KEY=VALUE flags. known are the command's keys; a
// key label! is written label!=VALUE.
func parseFilters(given []string, known ...string) (filters, error) {
	f := filters{}
	for _, text := range given {
		key, value, ok := strings.Cut(text, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		switch {
		case text == "":
		case !ok:
			return nil, fmt.Errorf("bad format of filter %q (expected name=value)", text)
		case !slices.Contains(known, key):
			return nil, &filterError{key, known}
		default:
			f[key] = append(f[key], strings.TrimSpace(value))
		}
	}
	return f, nil
}

// filterError is a filter that a command does not have.
type filterError struct {
	key   string
	known []string
}

func (e *filterError) Error() string { return fmt.Sprintf("invalid filter '%s'", e.key) }

// Hint says which there are.
func (e *filterError) Hint() string { return "filters here: " + strings.Join(e.known, ", ") }

// has reports whether there is a filter of this key.
func (f filters) has(key string) bool { return len(f[key]) > 0 }

// any reports whether one of the key's values matches, or there is none.
func (f filters) any(key string, matches func(want string) bool) bool {
	return !f.has(key) || slices.ContainsFunc(f[key], matches)
}

// is reports whether one of the key's values is one of those given, or there is
// none.
func (f filters) is(key string, values ...string) bool {
	return f.any(key, func(want string) bool { return slices.Contains(values, want) })
}

// labels reports whether a thing with these labels is meant, by label=KEY[=VALUE]
// and label!=KEY[=VALUE]. Unlike other keys' values all of label's must match,
// and label! leaves out what all of its values match (moby, api/types/filters,
// MatchKVList; moby#40286).
func (f filters) labels(has map[string]string) bool {
	if f.has("label!") && matchLabels(f["label!"], has) {
		return false
	}
	return matchLabels(f["label"], has)
}

func matchLabels(wanted []string, has map[string]string) bool {
	for _, text := range wanted {
		key, want, valued := strings.Cut(text, "=")
		value, ok := has[key]
		if !ok || valued && value != want {
			return false
		}
	}
	return true
}

// until is the time of the until filter, zero where there is none.
func (f filters) until(now time.Time) (time.Time, error) {
	switch len(f["until"]) {
	case 0:
		return time.Time{}, nil
	case 1:
		return parseWhen(f["until"][0], now)
	}
	return time.Time{}, fmt.Errorf("more than one until filter specified")
}

// flag is the value of a filter that is true or false, otherwise if there is
// none.
func (f filters) flag(key string, otherwise bool) (bool, error) {
	if !f.has(key) {
		return otherwise, nil
	}
	on, err := strconv.ParseBool(f[key][0])
	if err != nil || slices.ContainsFunc(f[key], func(v string) bool { return v != f[key][0] }) {
		return false, fmt.Errorf("invalid filter '%s=%s'", key, strings.Join(f[key], ","))
	}
	return on, nil
}

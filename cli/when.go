package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// zonedTimes and localTimes are the forms of a time in --since, --until and the
// until filter; the latter are meant in the user's time zone. A fraction may
// follow the seconds.
var (
	zonedTimes = [...]string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15Z07:00", "2006-01-02Z07:00"}
	localTimes = [...]string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", time.DateOnly}
)

// parseWhen reads a time as Docker does: a date, RFC 3339 in whole or in part,
// seconds since 1970 with or without a fraction, or how long before now.
func parseWhen(text string, now time.Time) (time.Time, error) {
	if t, ok := unixTime(text); ok {
		return t, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range zonedTimes {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	for _, layout := range localTimes {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &whenError{text}
}

// unixTime reads seconds since 1970, as 1136073600.000000001.
func unixTime(text string) (time.Time, bool) {
	seconds, fraction, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	fraction = (fraction + "000000000")[:max(9, len(fraction))]
	n, err := strconv.ParseUint(fraction[:9], 10, 32)
	if err != nil || strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}, false
	}
	return time.Unix(s, int64(n)), true
}

// optionalWhen is parseWhen for a flag that may be missing: the zero time then.
func optionalWhen(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := parseWhen(text, now)
	if err != nil {
		return t, fmt.Errorf("%s: %w", flag, err)
	}
	return t, nil
}

// whenError is a time that cannot be read.
type whenError struct{ text string }

func (e *whenError) Error() string { return fmt.Sprintf("invalid time %q", e.text) }

// Hint says what can be.
func (e *whenError) Hint() string {
	return "write it as 2026-01-02T15:04:05, 2026-01-02, seconds since 1970, or as 10m for ten minutes ago"
}

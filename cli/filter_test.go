package cli

import (
	"strings"
	"testing"
	"time"
)

func TestFilters(t *testing.T) {
	has := map[string]string{"a": "1", "b": ""}
	for given, want := range map[string]bool{
		"":                             true,
		"status=running":               true,
		"status=exited":                false,
		"status=exited status=running": true,
		"status=running name=web":      false,
		"STATUS=running":               true,
		"label=a":                      true,
		"label=a=1":                    true,
		"label=a=2":                    false,
		"label=a label=b=":             true,
		"label=a label=c":              false,
		"label!=a":                     false,
		"label!=c":                     true,
		"label!=a=2":                   true,
		"label!=a label!=c":            true,
		"label!=a label!=b":            false,
		"label=a label!=b":             false,
	} {
		f, err := parseFilters(strings.Fields(given), "status", "name", "label", "label!")
		if err != nil {
			t.Fatal(err)
		}
		got := f.is("status", "running") && f.any("name", func(v string) bool { return strings.Contains("db", v) }) && f.labels(has)
		if got != want {
			t.Errorf("%q: got %v", given, got)
		}
	}
	for given, want := range map[string]string{
		"status":   `bad format of filter "status" (expected name=value)`,
		"colour=x": "invalid filter 'colour'",
	} {
		_, err := parseFilters([]string{given}, "status", "label!")
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v", given, err)
		}
	}
}

func TestFlagFilter(t *testing.T) {
	for given, want := range map[string]string{"": "true", "x=1": "true", "x=false": "false", "x=0 x=0": "false", "x=maybe": "error", "x=0 x=1": "error"} {
		f, err := parseFilters(strings.Fields(given), "x")
		if err != nil {
			t.Fatal(err)
		}
		on, err := f.flag("x", true)
		if got := map[bool]string{true: "true", false: "false"}[on]; err == nil && got != want || err != nil && want != "error" {
			t.Errorf("%q: %v %v", given, on, err)
		}
	}
}

func TestParseWhen(t *testing.T) {
	east := time.FixedZone("east", 2*3600)
	now := time.Date(2026, 3, 4, 5, 6, 7, 8, east)
	for text, want := range map[string]string{
		"10m":                            "2026-03-04T02:56:07.000000008Z",
		"1h30m":                          "2026-03-04T01:36:07.000000008Z",
		"0":                              "1970-01-01T00:00:00Z",
		"1136073600":                     "2006-01-01T00:00:00Z",
		"1136073600.5":                   "2006-01-01T00:00:00.5Z",
		"1136073600.000000001":           "2006-01-01T00:00:00.000000001Z",
		"2026-01-02":                     "2026-01-01T22:00:00Z",
		"2026-01-02T03":                  "2026-01-02T01:00:00Z",
		"2026-01-02T03:04":               "2026-01-02T01:04:00Z",
		"2026-01-02T03:04:05":            "2026-01-02T01:04:05Z",
		"2026-01-02T03:04:05.25":         "2026-01-02T01:04:05.25Z",
		"2026-01-02Z":                    "2026-01-02T00:00:00Z",
		"2026-01-02T03:04Z":              "2026-01-02T03:04:00Z",
		"2026-01-02T03:04:05.000000006Z": "2026-01-02T03:04:05.000000006Z",
		"2026-01-02T03:04:05-01:00":      "2026-01-02T04:04:05Z",
		"yesterday":                      "",
		"1.2.3":                          "",
		"1.-5":                           "",
		"2026-13-01":                     "",
		"":                               "",
	} {
		got, err := parseWhen(text, now)
		if err != nil && want != "" || err == nil && got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q: got %v, %v, want %s", text, got.UTC(), err, want)
		}
	}
}

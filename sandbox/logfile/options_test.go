package logfile

import (
	"strings"
	"testing"

	"rootlet/sandbox/record"
)

func TestParseOptions(t *testing.T) {
	for given, want := range map[string]struct {
		size  int64
		files int
		err   string
	}{
		"json-file":                          {},
		" ":                                  {},
		"json-file max-size=10m max-file=3":  {size: 10_000_000, files: 3},
		"json-file max-size=1.5k":            {size: 1500},
		"json-file labels=a env=B tag={{.}}": {},
		"json-file compress=false":           {},
		"json-file compress=true":            {err: "compress=true is not supported"},
		"json-file mode=non-blocking":        {err: "mode=non-blocking is not supported"},
		"json-file max-size=0":               {err: "max-size must be a positive number"},
		"json-file max-size=much":            {err: "max-size=much"},
		"json-file max-file=0":               {err: "max-file cannot be less than 1"},
		"json-file max-file=two":             {err: "max-file=two"},
		"json-file size=1":                   {err: "unknown log opt 'size' for json-file log driver"},
		"none":                               {},
		"none max-size=1m":                   {err: "invalid logging opts for driver none"},
		"syslog":                             {err: "no log driver named 'syslog' is registered"},
	} {
		words := strings.Split(given, " ")
		options := strings.Fields(strings.Join(words[1:], " "))
		l, err := ParseOptions(words[0], options)
		switch {
		case want.err != "":
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: %v, want %q", given, err, want.err)
			}
		case err != nil || l.MaxSize != want.size || l.MaxFiles != want.files || len(l.Options) != len(options):
			t.Errorf("%q: %+v, %v", given, l, err)
		case l.Driver != record.LogNone && l.Driver != record.LogJSONFile:
			t.Errorf("%q: driver %q", given, l.Driver)
		}
	}
}

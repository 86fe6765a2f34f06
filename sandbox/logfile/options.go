package logfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"rootlet/sandbox/record"
)

// ParseOptions reads --log-driver and the --log-opt KEY=VALUE flags, with
// Docker's rules for json-file.
func ParseOptions(driver string, options []string) (record.Log, error) {
	l := record.Log{Driver: driver}
	switch driver {
	case "", record.LogJSONFile:
		l.Driver = record.LogJSONFile
	case record.LogNone:
		if len(options) > 0 {
			return l, errors.New("invalid logging opts for driver none")
		}
		return l, nil
	default:
		return l, fmt.Errorf("logger: no log driver named '%s' is registered: there are json-file and none", driver)
	}
	for _, text := range options {
		key, value, _ := strings.Cut(text, "=")
		if err := setOption(&l, key, value); err != nil {
			return l, err
		}
		if l.Options == nil {
			l.Options = map[string]string{}
		}
		l.Options[key] = value
	}
	return l, nil
}

func setOption(l *record.Log, key, value string) (err error) {
	switch key {
	case "max-size":
		l.MaxSize, err = units.FromHumanSize(value) // 10m is 10,000,000
		if err == nil && l.MaxSize <= 0 {
			err = errors.New("max-size must be a positive number")
		}
	case "max-file":
		l.MaxFiles, err = strconv.Atoi(value)
		if err == nil && l.MaxFiles < 1 {
			err = errors.New("max-file cannot be less than 1")
		}
	case "compress":
		return unsupported("compress", value, "false", "files of a log are not compressed here")
	case "mode":
		return unsupported("mode", value, "blocking", "no line of a log is dropped here")
	case "labels", "labels-regex", "env", "env-regex", "tag":
		return nil // for logs --details
	default:
		return fmt.Errorf("unknown log opt '%s' for json-file log driver", key)
	}
	if err != nil {
		return fmt.Errorf("log opt %s=%s: %w", key, value, err)
	}
	return nil
}

// unsupported refuses an option of Docker's but for the one value that is how
// things are.
func unsupported(key, value, is, why string) error {
	if value == is {
		return nil
	}
	return fmt.Errorf("log opt %s=%s is not supported: %s", key, value, why)
}

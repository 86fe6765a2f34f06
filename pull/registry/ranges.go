package registry

import (
	"fmt"
	"strconv"
	"strings"
)

// contentRange is the header of the same name (RFC 9110 section 14.4).
type contentRange struct {
	first, last int64 // both belong to it
	size        int64 // of all, -1 where the server does not say
}

// parseContentRange reads "bytes 0-9/10" and "bytes 0-9/*".
func parseContentRange(s string) (contentRange, error) {
	bad := fmt.Errorf("content range %q", limit(s, 100))
	unit, rest, _ := strings.Cut(s, " ")
	span, all, ok := strings.Cut(rest, "/")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return contentRange{}, bad
	}
	r := contentRange{size: -1}
	if all != "*" {
		if r.size, ok = number(all); !ok {
			return contentRange{}, bad
		}
	}
	if r.first, r.last, ok = parseSpan(span); !ok || r.size >= 0 && r.last >= r.size {
		return contentRange{}, bad
	}
	return r, nil
}

// parseUploadRange reads the Range of an upload, how much the registry has of a
// blob: "0-9" is ten bytes, "bytes=0-9" too. "0-0" is nothing to most registries
// and one byte to some: nothing is the safe reading only where the upload is
// then sent anew, which is the caller's to know.
func parseUploadRange(s string) (have int64, err error) {
	first, last, ok := parseSpan(strings.TrimPrefix(s, "bytes="))
	if !ok || first != 0 {
		return 0, fmt.Errorf("upload range %q", limit(s, 100))
	}
	if last == 0 {
		return 0, nil
	}
	return last + 1, nil
}

func parseSpan(s string) (first, last int64, ok bool) {
	from, to, cut := strings.Cut(s, "-")
	first, okFirst := number(from)
	last, okLast := number(to)
	return first, last, cut && okFirst && okLast && first <= last && last < 1<<62
}

// number is digits alone.
func number(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

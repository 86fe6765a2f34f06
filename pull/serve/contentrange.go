package serve

import (
	"strconv"
	"strings"
)

// chunk is a Content-Range of a PATCH or PUT: both ends belong to it. The
// specification's form has neither a unit nor a size: "^[0-9]+-[0-9]+$"
// ("Pushing a blob in chunks").
type chunk struct{ first, last int64 }

func (c chunk) length() int64 { return c.last - c.first + 1 }

func parseContentRange(s string) (chunk, bool) {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		return chunk{}, false
	}
	var c chunk
	for _, end := range []struct {
		digits string
		into   *int64
	}{{first, &c.first}, {last, &c.last}} {
		// ParseUint takes no sign, and 62 bits leave room for a length.
		n, err := strconv.ParseUint(end.digits, 10, 62)
		if err != nil {
			return chunk{}, false
		}
		*end.into = int64(n)
	}
	return c, c.last >= c.first
}

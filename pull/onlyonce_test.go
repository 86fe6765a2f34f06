package pull

import (
	"strings"
	"testing"
)

func TestOnlyOnce(t *testing.T) {
	for text, twice := range map[string]bool{
		`{"a":1,"b":2}`:                     false,
		`{"a":1,"a":2}`:                     true,
		`{"layers":[],"Layers":[]}`:         true,
		`{"a":{"a":{"a":1}}}`:               false,
		`{"a":["a","a"],"b":"a"}`:           false,
		`[{"a":1},{"a":1}]`:                 false,
		`[{"a":1},{"a":1,"a":1}]`:           true,
		`{"a":{"b":1,"c":{"d":[]},"b":1}}`:  true,
		`{"a":[],"a":[]}`:                   true,
		`{"a":{},"a":{}}`:                   true,
		`{"annotations":{"x":"1","X":"2"}}`: false,
		`{"annotations":{"x":"1","x":"2"}}`: true,
		`{"config":{"Labels":{"x":"","X":""},"Volumes":{"/a":{},"/A":{}}}}`: false,
		`{"config":{"Labels":{"x":""},"labels":{}}}`:                        true,
		`{"a":"{\"b\":1,\"b\":2}"}`:                                         false,
		`"a"`:                                                               false,
		strings.Repeat("[", 9000) + strings.Repeat("]", 9000):               false,
	} {
		var into any
		err := decode("text", []byte(text), &into)
		if twice != (err != nil && strings.Contains(err.Error(), "twice")) {
			t.Errorf("%.60s: %v, want twice: %v", text, err, twice)
		}
	}
}

package pull

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// decode reads a JSON document that anybody may have written. One with a key
// twice in an object is refused: tools differ in which of the two they take, and
// in whether "Layers" is "layers" (Go says yes), so that one could check an image
// and another install a different one, under one digest (CVE-2021-41190).
func decode(what string, body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if err == nil {
		err = onlyOnce(body)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// object is one that is being read: where a key is due, and which came before.
type object struct {
	isArray bool
	value   bool // comes next, and no key
	free    bool // its keys are names and no fields, so that their case matters
	next    bool // free, for the value that comes next
	keys    map[string]bool
}

// onlyOnce looks for keys that are there twice. The document can be read, so that
// the errors of the decoder do not occur, nor does its depth.
func onlyOnce(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	open := []*object{{isArray: true}}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		o := open[len(open)-1]
		switch token {
		case json.Delim('{'), json.Delim('['):
			o.value = false
			open = append(open, &object{isArray: token == json.Delim('['), free: o.free && o.isArray || o.next, keys: map[string]bool{}})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		default:
			if err := o.see(token); err != nil {
				return err
			}
		}
	}
}

// see takes a value, or a key.
func (o *object) see(token json.Token) error {
	key, isText := token.(string)
	if o.isArray || o.value || !isText {
		o.value = false
		return nil
	}
	o.value, o.next = true, false
	if !o.free {
		switch key = strings.ToLower(key); key {
		case "annotations", "labels", "volumes", "exposedports":
			o.next = true
		}
	}
	if o.keys[key] {
		return fmt.Errorf("%q is there twice", key)
	}
	o.keys[key] = true
	return nil
}

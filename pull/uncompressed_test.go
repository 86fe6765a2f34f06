package pull

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
)

// What bzip2(1) makes of "hello", of nothing, and of 40 MB of zeros: Go's library
// has no writer.
const (
	bzip2Hello = "425a68393141592653591931653d00000081000244a000219a68334d07338bb9229c28480c98b29e80"
	bzip2Empty = "425a683917724538509000000000"
	bzip2Zeros = "425a6839314159265359d8ecddfe01325f4008c00000100008200030cc09aa69a04a515b501294578bb9229c28486c766eff00"
)

func TestBzip2(t *testing.T) {
	for _, c := range []struct{ file, want, err string }{
		{bzip2Hello, "hello", ""},
		{bzip2Hello + bzip2Hello, "hellohello", ""},
		{bzip2Empty, "", ""},
		{bzip2Hello[:len(bzip2Hello)-10], "", "unexpected EOF"},
		{strings.Replace(bzip2Hello, "1931653d", "1931653e", 1), "", "checksum"},
		{hex.EncodeToString([]byte("BZh9 is a file's name")), "BZh9 is a file's name", ""},
	} {
		file, err := hex.DecodeString(c.file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := uncompress(file)
		if c.err == "" && (err != nil || string(got) != c.want) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %q, %v", c.file, got, err)
		}
		if compressed := IsCompressed(file[:HeadSize]); compressed == strings.HasPrefix(c.want, "BZh9 ") {
			t.Errorf("%s: compressed: %v", c.file, compressed)
		}
	}
}

func uncompress(file []byte) ([]byte, error) {
	r, err := Uncompressed(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// TestBzip2Bomb: a stream of 50 bytes after another, and each is 40 MB.
func TestBzip2Bomb(t *testing.T) {
	file, err := hex.DecodeString(strings.Repeat(bzip2Zeros, 100))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Uncompressed(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var limit *LimitError
	if n, err := io.Copy(io.Discard, r); !errors.As(err, &limit) || n > bombFree+1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}
